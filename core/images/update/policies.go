package update

// PolicyChange is what a person wants of the policies of workloads.
type PolicyChange struct {
	Automate   bool `json:"automate,omitempty"`
	Deautomate bool `json:"deautomate,omitempty"`
	Lock       bool `json:"lock,omitempty"`
	Unlock     bool `json:"unlock,omitempty"` // removes who locked it and why, too

	LockUser    string `json:"lock_user,omitempty"`    // with Lock
	LockMessage string `json:"lock_message,omitempty"` // with Lock

	// TagAll is a pattern for every container, Tags are patterns by container
	// and count more. The patterns "*" and "glob:*", which take everything,
	// remove the annotation.
	TagAll string            `json:"tag_all,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}
