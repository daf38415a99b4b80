package resource

// schema is as much of a structural OpenAPI schema as the definitions need.
//
// A schema says of which type a field is, and no more: nothing is required, no
// number is bounded, and a field that is not known is kept. Whatever the Helm
// operator's definitions let into a cluster stays readable and writable that
// way; what is wrong with it is for Parse to say, which says it better.
type schema struct {
	Type        string             `yaml:"type"`
	Format      string             `yaml:"format,omitempty"`
	Description string             `yaml:"description,omitempty"`
	Enum        []string           `yaml:"enum,omitempty,flow"`
	Nullable    bool               `yaml:"nullable,omitempty"`
	Keep        bool               `yaml:"x-kubernetes-preserve-unknown-fields,omitempty"`
	Items       *schema            `yaml:"items,omitempty"`
	Properties  map[string]*schema `yaml:"properties,omitempty"`
}

type properties = map[string]*schema

func text(description string) *schema {
	return &schema{Type: "string", Description: description}
}

func boolean(description string) *schema {
	return &schema{Type: "boolean", Description: description}
}

func number(description string) *schema {
	return &schema{Type: "integer", Format: "int64", Description: description}
}

func word(description string, words ...string) *schema {
	return &schema{Type: "string", Description: description, Enum: words}
}

func moment(description string) *schema {
	return &schema{Type: "string", Format: "date-time", Description: description, Nullable: true}
}

// object has known fields, or any if there are none.
func object(description string, fields properties) *schema {
	return &schema{Type: "object", Description: description, Keep: true, Properties: fields}
}

func list(description string, item *schema) *schema {
	return &schema{Type: "array", Description: description, Items: item}
}

// relaxed lets each field be null, as an empty one is in YAML.
func (s *schema) relaxed() *schema {
	if s == nil {
		return nil
	}
	s.Nullable = s.Enum == nil // null would have to be one of the words
	s.Items.relaxed()
	for _, field := range s.Properties {
		field.relaxed()
	}
	return s
}

// specSchema is that of HelmRelease, in both of its groups.
func specSchema(old bool) *schema {
	fields := properties{
		"helmVersion":              word("Version of Helm. Only v3 is supported.", "v2", "v3"),
		"chart":                    chartSchema(),
		"releaseName":              text("Name of the release, at most 53 characters. Default: NAMESPACE-NAME, or NAMESPACE-TARGETNAMESPACE-NAME if they differ."),
		"targetNamespace":          text("Namespace of the release, which must exist. Default: that of the resource."),
		"maxHistory":               number("Revisions to keep; 0 keeps all. Default: 10."),
		"timeout":                  number("Seconds that an install or upgrade may wait. Default: 300."),
		"resetValues":              boolean("Start from the chart's values at each upgrade; false starts from those of the revision before. Default: true."),
		"skipCRDs":                 boolean("Do not create what is in the chart's crds directory. Default: false."),
		"wait":                     boolean("Wait until all objects are ready. Default: true if rollback or tests are enabled."),
		"forceUpgrade":             boolean("Replace objects rather than change them. Default: false."),
		"disableOpenAPIValidation": boolean("Do not check objects against the cluster's schemas. Default: false."),
		"rollback":                 rollbackSchema(),
		"test":                     testSchema(),
		"valuesFrom":               list("Places that values come from; later ones win.", valuesFromSchema()),
		"valueFileSecrets":         valueFileSecretsSchema(),
		"values":                   object("Values, which win over those from elsewhere.", nil),
	}
	if old {
		fields["skipDepUpdate"] = boolean("Take the chart's dependencies as they are in its charts directory. Default: false.")
	}
	return object("The release that is wanted.", fields)
}

// fluxSpecSchema is that of FluxHelmRelease.
func fluxSpecSchema() *schema {
	return object("The release that is wanted.", properties{
		"chartGitPath":     text("The chart's directory below the charts of the configuration. Required."),
		"releaseName":      text("Name of the release, at most 53 characters. Default: NAMESPACE-NAME."),
		"valueFileSecrets": valueFileSecretsSchema(),
		"values":           object("Values, which win over those from elsewhere.", nil),
	})
}

func chartSchema() *schema {
	return object("The chart, named by git and path, or by repository, name and version.", properties{
		"git":  text("URL of the chart's git repository."),
		"ref":  text("Branch, tag or commit. Default: master, unless configured."),
		"path": text("The chart's directory in the git repository."),
		"secretRef": object("Secret with username and password for an https URL of git.", properties{
			"name": text("Name of the Secret."), "namespace": text("Its namespace. Default: that of the resource."),
		}),
		"skipDepUpdate": boolean("Take the chart's dependencies as they are in its charts directory. Default: false."),
		"repository":    text("URL of the chart repository: https://, http:// or oci://."),
		"name":          text("Name of the chart."),
		"version":       text("Version of the chart, or a range."),
		"chartPullSecret": object("Secret with username and password, or .dockerconfigjson, for the chart repository.", properties{
			"name": text("Name of the Secret, in the namespace of the resource."),
		}),
	})
}

func rollbackSchema() *schema {
	return object("What happens after a failed upgrade.", properties{
		"enable":       boolean("Roll back. Default: false."),
		"retry":        boolean("Try the upgrade again after a rollback. Default: false."),
		"maxRetries":   number("How often to try again; 0 is without end. Default: 5."),
		"force":        boolean("Replace objects rather than change them. Default: false."),
		"recreate":     boolean("Has no effect."),
		"disableHooks": boolean("Do not run the hooks of a rollback. Default: false."),
		"timeout":      number("Seconds that a rollback may wait. Default: 300."),
		"wait":         boolean("Wait until all objects are ready. Default: false."),
	})
}

func testSchema() *schema {
	return object("What happens after an install or upgrade.", properties{
		"enable":         boolean("Run the chart's tests. Default: false."),
		"ignoreFailures": boolean("Keep a release whose tests fail. Default: false."),
		"timeout":        number("Seconds that a test may take. Default: 300."),
		"cleanup":        boolean("Delete the pods of the tests afterwards. Default: true."),
	})
}

func valueFileSecretsSchema() *schema {
	return list("Secrets whose key values.yaml holds values. They come before valuesFrom, which replaces them.",
		object("", properties{"name": text("Name of the Secret.")}))
}

func valuesFromSchema() *schema {
	key := func(what string) *schema {
		return object("Key of a "+what+".", properties{
			"name": text("Name of the " + what + "."), "namespace": text("Its namespace. Default: that of the resource, and no other unless configured."),
			"key": text("Default: values.yaml."), "optional": boolean("Do without if it does not exist or cannot be read. Default: false."),
		})
	}
	return object("One place; exactly one of the fields.", properties{
		"configMapKeyRef": key("ConfigMap"),
		"secretKeyRef":    key("Secret"),
		"externalSourceRef": object("A page of the web.", properties{
			"url": text("https:// or http:// URL."), "optional": boolean("Do without if it cannot be had or read. Default: false."),
		}),
		"chartFileRef": object("A file of the chart.", properties{
			"path": text("Path below the chart's directory."), "optional": boolean("Do without if it does not exist or cannot be read. Default: false."),
		}),
	})
}

// statusSchema is that of all three kinds.
func statusSchema() *schema {
	return object("What became of it.", properties{
		"observedGeneration":    number("Generation of the resource that the status is about."),
		"phase":                 word("What is being done or was done last.", phaseWords()...),
		"releaseName":           text("Name of the release."),
		"releaseStatus":         text("Status of the newest revision, as Helm has it."),
		"revision":              text("Commit or version of the chart that runs."),
		"lastAttemptedRevision": text("Commit or version of the chart that was tried last."),
		"rollbackCount":         number("Rollbacks since the release was last as declared."),
		"conditions": list("How the release stands.", object("", properties{
			"type":               word("What it is about.", "ChartFetched", "Deployed", "Released", "RolledBack", "Tested"),
			"status":             word("Whether it is so.", "True", "False", "Unknown"),
			"lastUpdateTime":     moment("When any of it changed."),
			"lastTransitionTime": moment("When its status changed."),
			"reason":             text("The phase that made it so."),
			"message":            text("Why, for people."),
		})),
		"state":        text("How the release stands, compared with what is declared."),
		"chart":        text("Name and version of the chart."),
		"chartDigest":  text("Digest of the chart."),
		"helmRevision": number("Number of the newest revision."),
		"drift":        list("Live objects that are not as declared.", text("")),
		"suspended": object("Set while somebody has suspended the release by command; an operator that has lost its own data goes by it.", properties{
			"by": text("Who."), "reason": text("Why."), "since": moment("Since when."), "until": moment("Until when."),
		}),
		"warnings": list("What has no effect, or not the one it seems to have.", text("")),
	})
}
