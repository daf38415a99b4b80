package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// textFunction makes a function of one string out of f.
func textFunction(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.String), function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

// testFunction makes a function that tests a string with another one.
func testFunction(param string, f func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// lengthFunction counts the elements of a collection or the characters of a
// string.
func lengthFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			switch v := args[0]; {
			case v.Type().Equals(cty.String):
				return stdlib.Strlen(v)
			case v.CanIterateElements():
				return cty.NumberIntVal(int64(v.LengthInt())), nil
			default:
				return cty.UnknownVal(cty.Number), function.NewArgErrorf(0, "a string, list, map or object is required, not %s", typeOf(v))
			}
		},
	})
}

// jsonFunction is jsondecode with a message that names the place, and safe
// against text that nests without end.
func jsonFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if args[0].IsKnown() {
				if err := checkJSON(args[0].AsString()); err != nil {
					return cty.NilType, function.NewArgError(0, err)
				}
			}
			return stdlib.JSONDecodeFunc.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return stdlib.JSONDecode(args[0]) },
	})
}

func checkJSON(text string) error {
	var raw json.RawMessage
	err := json.Unmarshal([]byte(text), &raw)
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		read := text[:min(int(se.Offset), len(text))]
		return fmt.Errorf("it is not JSON: line %d: %w", 1+strings.Count(read, "\n"), err)
	}
	return err
}

func decodeBase64(s string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	switch {
	case err != nil:
		return "", errors.New("it is not base64")
	case !utf8.Valid(data):
		return "", errors.New("what it decodes to is not UTF-8 text")
	}
	return string(data), nil
}

// coalesceFunction returns its first argument that is neither null nor "".
func coalesceFunction() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowNull: true},
		Type: func(args []cty.Value) (cty.Type, error) {
			types := make([]cty.Type, len(args))
			for i, arg := range args {
				types[i] = arg.Type()
			}
			if typ, _ := convert.UnifyUnsafe(types); typ != cty.NilType {
				return typ, nil
			}
			return cty.NilType, errors.New("all arguments must have the same type")
		},
		Impl: func(args []cty.Value, typ cty.Type) (cty.Value, error) {
			for _, arg := range args {
				v, err := convert.Convert(arg, typ)
				if err != nil {
					return cty.UnknownVal(typ), err
				}
				if !v.IsNull() && !v.RawEquals(cty.StringVal("")) {
					return v, nil
				}
			}
			return cty.UnknownVal(typ), errors.New("every argument is null or empty")
		},
	})
}

// replaceFunction replaces every occurrence of a string, or of what a regular
// expression matches if it stands between slashes.
func replaceFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "search", Type: cty.String}, {Name: "replacement", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			search := args[1].AsString()
			if len(search) > 1 && search[0] == '/' && search[len(search)-1] == '/' {
				return stdlib.RegexReplace(args[0], cty.StringVal(search[1:len(search)-1]), args[2])
			}
			return cty.StringVal(strings.ReplaceAll(args[0].AsString(), search, args[2].AsString())), nil
		},
	})
}
