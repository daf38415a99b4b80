package policy

// Workload is what the annotations of a workload say about its images.
type Workload struct {
	Automated bool // new images are rolled out
	Locked    bool // neither automation nor a release touches it
	Ignored   bool // it is not looked after at all

	LockedBy     string // who locked it
	LockedReason string

	// Warnings name annotations that have no effect though somebody most
	// likely wanted one, and say what to write.
	Warnings []string

	patterns map[string]string
}

// Of reads the annotations of a workload's own metadata, not of its pods.
func Of(annotations map[string]string) Workload { return Workload{} }

// Pattern returns the pattern for the tags of a container as it is written, and
// whether there is one; without one, Default counts.
func (w Workload) Pattern(container string) (pattern string, ok bool) {
	pattern, ok = w.patterns[container]
	return pattern, ok
}

// Containers returns the containers that have a pattern, sorted. Whoever knows
// the workload's containers can tell which of them do not exist.
func (w Workload) Containers() []string { return nil }
