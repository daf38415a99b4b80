package config_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluice-gitops/sluice/config"
)

// TestOddValues puts references, secrets, nulls and sets where functions and
// operators do not expect them. Whatever comes of it, nothing panics, and what
// is wrong is reported.
func TestOddValues(t *testing.T) {
	values := []string{"source.git.one", "source.git.each", "source.git", "sync", `secret("hidden")`, `secret(null)`, "null", `[null]`, "{}", "[]", "1/0", "-1/0",
		`toset([secret("a"), "b"])`, `{ (secret("k")) = 1 }`, `[for s in [source.git.one] : s]`, `toset([source.git.one])`, "1e400", `"\u0000"`, `"a\nb"`}
	shapes := []string{"%s", `"${%s}"`, "[%s]", "{ a = %s }", "%s == %[1]s", "!%s", "-%s", "%s + 1", "%s ? 1 : 2", "true ? %s : null", "%s[0]", `%s["a"]`, "%s.a", "%s[*]", "[for x in %s : x]",
		"{ for k, v in %s : k => v }", "{ for k, v in { a = %s } : v => k }", "jsonencode(%s)", "yamlencode(%s)", `format("%%s %%v %%d %%q", %[1]s, %[1]s, %[1]s, %[1]s)`, "keys(%s)", "values(%s)", "length(%s)", "sort([%s])", "join(\",\", [%s])",
		"toset([%s])", "tolist([%s, %[1]s])", "tomap({ a = %s })", "tostring(%s)", "merge(%s, { b = 1 })", "concat([%s], [1])", "contains([%s], %[1]s)", "distinct([%s, %[1]s])", "flatten([[%s]])",
		"setproduct([%s], [1])", "setunion([%s], [%[1]s])", `zipmap(["a"], [%s])`, `lookup({ a = %s }, "a", 1)`, "lookup(%s, \"a\", 1)", "coalesce(%s, 1)", "coalescelist([%s])", "try(%s, 1)", "can(%s)", "element([%s], 0)", "slice([%s], 0, 1)",
		"reverse([%s])", "compact([%s])", "max(%s, 1)", "range(%s)", "sha256(%s)", "base64decode(%s)", "jsondecode(%s)", "yamldecode(%s)", "regex(%s, \"a\")", "replace(%s, \"a\", \"b\")", "env(%s)", "file(%s)", "secret(%s)",
		"substr(%s, 0, 1)", "indent(1, %s)", "parseint(%s, 10)", "abspath(%s)", "title(%s)", "startswith(%s, \"a\")", "ceil(%s)", "formatlist(\"%%s\", [%s])", "chomp(%s)"}
	path := write(t, "")
	for _, v := range values {
		for _, shape := range shapes {
			expr := fmt.Sprintf(shape, v)
			src := fmt.Sprintf(`source "git" "one" { url = "https://git.example.com/one.git" }
source "git" "each" {
  for_each = ["a", "b"]
  url      = "https://git.example.com/each.git"
}
locals { x = %[1]s }
source "git" "values" {
  url    = "https://git.example.com/two.git"
  values = %[1]s
  labels = %[1]s
  depth  = %[1]s
  dynamic "mirror" {
    for_each = %[1]s
    content { to = mirror.value }
  }
  dynamic "header" {
    for_each = [1]
    labels   = [%[1]s]
    content {}
  }
}
source "git" "repeated" {
  for_each = %[1]s
  url      = "https://git.example.com/${each.key}.git"
}
sync "a" {
  source     = %[1]s
  depends_on = %[1]s
  paths      = %[1]s
  suspend    = %[1]s
  interval   = %[1]s
  prune { max = %[1]s }
}
release "a" {
  name       = %[1]s
  values     = %[1]s
  depends_on = %[1]s
  wait       = %[1]s
  chart {
    source     = %[1]s
    repository = %[1]s
    version    = %[1]s
    password   = %[1]s
  }
  values_from { url = %[1]s }
  drift {
    ignore { paths = %[1]s }
  }
}
`, expr)
			if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, diags := config.Load([]string{path}, options()); !diags.HasErrors() {
				t.Errorf("no error for %s", expr)
			}
		}
	}
}
