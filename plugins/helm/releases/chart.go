package releases

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"k8s.io/apimachinery/pkg/util/json"
)

// load reads the chart and the values of a release, and checks the one against
// the other. What is wrong with them stays wrong until they change.
func load(r helm.Release) (*chart.Chart, map[string]any, error) {
	c, err := read(r.Chart)
	if err != nil {
		return nil, nil, err
	}
	values, err := parse(r.Values)
	if err != nil {
		return nil, nil, err
	}
	if r.SkipSchema || r.ReuseValues || !hasSchema(c) { // with reused ones, see upgrade
		return c, values, nil
	}
	if err := validate(r.Chart, values); err != nil {
		return nil, nil, err
	}
	return c, values, nil
}

func read(dir string) (*chart.Chart, error) {
	c, err := loader.LoadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("chart: %w", err)
	}
	if err != nil {
		return nil, sdk.Permanent(fmt.Errorf("chart: %w", err))
	}
	if t := c.Metadata.Type; t != "" && t != "application" {
		return nil, sdk.Permanent(fmt.Errorf("chart %s is of the type %q and cannot be installed", c.Name(), t))
	}
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *chart.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return nil, sdk.Permanent(fmt.Errorf("chart %s names dependencies that are not in its charts directory: %s", c.Name(), strings.Join(missing, ", ")))
	}
	return c, nil
}

// parse reads values. Its errors do not show them.
func parse(values secret.Secret) (map[string]any, error) {
	parsed := map[string]any{}
	if values.IsZero() {
		return parsed, nil
	}
	if err := json.Unmarshal([]byte(values.Reveal()), &parsed); err != nil || parsed == nil {
		return nil, sdk.Permanent(errors.New("values are not a JSON object"))
	}
	return parsed, nil
}

func hasSchema(c *chart.Chart) bool {
	return c.Schema != nil || slices.ContainsFunc(c.Dependencies(), hasSchema)
}

// validate checks the values against the schemas of a chart and its
// dependencies. Helm's own check would fetch whatever a schema refers to, files
// of this machine included, and its errors show values.
func validate(dir string, values map[string]any) error {
	c, err := read(dir) // once more, since this changes it
	if err != nil {
		return err
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return sdk.Permanent(fmt.Errorf("chart %s: dependencies: %w", c.Name(), err))
	}
	all, err := util.CoalesceValues(c, values)
	if err != nil {
		return sdk.Permanent(fmt.Errorf("values do not fit chart %s: %w", c.Name(), err))
	}
	return violations(c, all.AsMap(), []string{"values"}).Err()
}

func violations(c *chart.Chart, values map[string]any, path []string) diag.List {
	var list diag.List
	if c.Schema != nil {
		list = append(list, violationsOf(c, values, path)...)
	}
	for _, sub := range c.Dependencies() {
		below := append(slices.Clone(path), sub.Name())
		switch v := values[sub.Name()].(type) {
		case nil:
		case map[string]any:
			list = append(list, violations(sub, v, below)...)
		default:
			list = append(list, diag.Errorf(pathOf(below), "the values of chart %s must be a map", sub.Name()))
		}
	}
	return list
}

// noLoader refuses what a schema refers to outside itself.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a chart's schema may not refer to %s: only to itself", url)
}

func violationsOf(c *chart.Chart, values map[string]any, path []string) (list diag.List) {
	broken := func(err error) diag.List {
		return diag.List{diag.Errorf(pathOf(path), "values.schema.json of chart %s cannot be used: %v", c.Name(), err)}
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(c.Schema)))
	if err != nil {
		return broken(err)
	}
	const name = "chart:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(name, document); err != nil {
		return broken(err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		return broken(err)
	}
	err = schema.Validate(values)
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if err != nil && !ok {
		return broken(err)
	}
	return leaves(invalid, path, nil)
}

// mostViolations are told of one schema.
const mostViolations = 50

// leaves are the violations that others only sum up.
func leaves(e *jsonschema.ValidationError, path []string, list diag.List) diag.List {
	if e == nil || len(list) >= mostViolations {
		return list
	}
	if len(e.Causes) == 0 {
		return append(list, diag.Errorf(pathOf(slices.Concat(path, e.InstanceLocation)), "%s", words(e.ErrorKind)))
	}
	for _, cause := range e.Causes {
		list = leaves(cause, path, list)
	}
	return list
}

// words tells what is wrong with a value, without the value.
func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Enum:
		return fmt.Sprintf("must be one of %v", k.Want)
	case *kind.Const:
		return fmt.Sprintf("must be %v", k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("must match %q", k.Want)
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.Required, *kind.AdditionalProperties, *kind.Type, *kind.MinItems, *kind.MaxItems,
		*kind.MinLength, *kind.MaxLength, *kind.MinProperties, *kind.MaxProperties:
		return k.LocalizedString(message.NewPrinter(language.English))
	}
	return "does not satisfy " + strings.Join(k.KeywordPath(), "/")
}

func pathOf(steps []string) diag.Path {
	path := make([]any, len(steps))
	for i, step := range steps {
		path[i] = step
		if n, err := strconv.Atoi(step); err == nil {
			path[i] = n
		}
	}
	return diag.Attr(path...)
}
