package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// maxReadFile bounds what file() reads.
const maxReadFile = 4 << 20

// functionsFor returns the functions for expressions in files of dir, which
// relative paths start from.
func (l *loader) functionsFor(dir string) map[string]function.Function {
	if funcs := l.functions[dir]; funcs != nil {
		return funcs
	}
	funcs := pureFunctions()
	funcs["env"] = l.envFunction()
	funcs["secret"] = l.secretFunction()
	funcs["file"] = l.fileFunction(dir)
	funcs["abspath"] = textFunction("path", func(path string) (string, error) {
		return l.absolute(path, hcl.Range{Filename: filepath.Join(dir, "x")})
	})
	l.functions[dir] = funcs
	return funcs
}

// pureFunctions are those that depend on nothing but their arguments.
func pureFunctions() map[string]function.Function {
	return map[string]function.Function{
		"abs":             stdlib.AbsoluteFunc,
		"base64decode":    textFunction("text", decodeBase64),
		"base64encode":    textFunction("text", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"basename":        textFunction("path", func(s string) (string, error) { return filepath.Base(s), nil }),
		"can":             tryfunc.CanFunc,
		"ceil":            stdlib.CeilFunc,
		"chomp":           stdlib.ChompFunc,
		"coalesce":        coalesceFunction(),
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"dirname":         textFunction("path", func(s string) (string, error) { return filepath.Dir(s), nil }),
		"distinct":        stdlib.DistinctFunc,
		"element":         stdlib.ElementFunc,
		"endswith":        testFunction("suffix", strings.HasSuffix),
		"flatten":         stdlib.FlattenFunc,
		"floor":           stdlib.FloorFunc,
		"format":          stdlib.FormatFunc,
		"formatlist":      stdlib.FormatListFunc,
		"indent":          stdlib.IndentFunc,
		"join":            stdlib.JoinFunc,
		"jsondecode":      jsonFunction(),
		"jsonencode":      stdlib.JSONEncodeFunc,
		"keys":            stdlib.KeysFunc,
		"length":          lengthFunction(),
		"lookup":          stdlib.LookupFunc,
		"lower":           stdlib.LowerFunc,
		"max":             stdlib.MaxFunc,
		"merge":           stdlib.MergeFunc,
		"min":             stdlib.MinFunc,
		"parseint":        stdlib.ParseIntFunc,
		"range":           stdlib.RangeFunc,
		"regex":           stdlib.RegexFunc,
		"regexall":        stdlib.RegexAllFunc,
		"replace":         replaceFunction(),
		"reverse":         stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc,
		"setproduct":      stdlib.SetProductFunc,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"sha256": textFunction("text", func(s string) (string, error) {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		}),
		"slice":       stdlib.SliceFunc,
		"sort":        stdlib.SortFunc,
		"split":       stdlib.SplitFunc,
		"startswith":  testFunction("prefix", strings.HasPrefix),
		"strcontains": testFunction("part", strings.Contains),
		"substr":      stdlib.SubstrFunc,
		"title":       stdlib.TitleFunc,
		"tobool":      stdlib.MakeToFunc(cty.Bool),
		"tolist":      stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":       stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":    stdlib.MakeToFunc(cty.Number),
		"toset":       stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring":    stdlib.MakeToFunc(cty.String),
		"trim":        stdlib.TrimFunc,
		"trimprefix":  stdlib.TrimPrefixFunc,
		"trimspace":   stdlib.TrimSpaceFunc,
		"trimsuffix":  stdlib.TrimSuffixFunc,
		"try":         tryfunc.TryFunc,
		"upper":       stdlib.UpperFunc,
		"values":      stdlib.ValuesFunc,
		"yamldecode":  ctyyaml.YAMLDecodeFunc,
		"yamlencode":  ctyyaml.YAMLEncodeFunc,
		"zipmap":      stdlib.ZipmapFunc,
	}
}

// secretFunction marks a value as sensitive.
func (l *loader) secretFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			l.keep(args[0])
			return args[0].Mark(sensitive), nil
		},
	})
}

// envFunction looks up an environment variable, with an optional default.
func (l *loader) envFunction() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			value, ok := l.options.Env(name)
			switch {
			case len(args) > 2:
				return cty.UnknownVal(cty.String), errors.New("it takes a name and a default")
			case ok && !utf8.ValidString(value):
				return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "the environment variable %s is not UTF-8 text", name)
			case ok:
				return cty.StringVal(value), nil
			case len(args) == 2:
				return args[1], nil
			}
			return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "the environment variable %s is not set; give a default as the second argument if it may be missing", name)
		},
	})
}

// fileFunction reads a text file. The configuration depends on it even if it
// does not exist yet.
func (l *loader) fileFunction(dir string) function.Function {
	return textFunction("path", func(path string) (string, error) {
		abs, err := l.absolute(path, hcl.Range{Filename: filepath.Join(dir, "x")})
		if err != nil {
			return "", err
		}
		l.cfg.read[abs] = struct{}{}
		data, err := readFile(abs, maxReadFile)
		switch {
		case err != nil:
			return "", errors.New("cannot read " + abs + ": " + strings.ToLower(sentence(err)))
		case !utf8.Valid(data):
			return "", errors.New(abs + " is not UTF-8 text")
		}
		return string(data), nil
	})
}
