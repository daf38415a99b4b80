package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxNesting bounds how deep brackets nest, and how many operators stand in
// one expression, where each may be one level of its tree.
const maxNesting = 256

// level is one open bracket, template or block.
type level struct {
	brace     bool // a new line ends an item in it
	operators int  // in the current item
}

// tooDeep returns the place where src nests too deeply. The parser and the
// evaluator recurse for each level, and Go cannot recover from a full stack.
func tooDeep(name string, src []byte) (hcl.Range, bool) {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos) // the parser reports what is wrong
	levels := []level{{brace: true}}
	for _, t := range tokens {
		current := &levels[len(levels)-1]
		switch t.Type {
		case hclsyntax.TokenOBrack, hclsyntax.TokenTemplateControl:
			current.operators++ // an index; a directive, which has an end of its own
			levels = append(levels, level{})
		case hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			levels = append(levels, level{})
		case hclsyntax.TokenOBrace:
			levels = append(levels, level{brace: true})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			levels = levels[:max(1, len(levels)-1)]
		case hclsyntax.TokenComma:
			current.operators = 0
		case hclsyntax.TokenNewline:
			if current.brace {
				current.operators = 0
			}
		default:
			if operators[t.Type] {
				current.operators++
			}
		}
		if len(levels) > maxNesting || current.operators > maxNesting {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}

// operators are the tokens that put a level into the tree of an expression.
var operators = map[hclsyntax.TokenType]bool{
	hclsyntax.TokenBang: true, hclsyntax.TokenQuestion: true, hclsyntax.TokenAnd: true, hclsyntax.TokenOr: true,
	hclsyntax.TokenPlus: true, hclsyntax.TokenMinus: true, hclsyntax.TokenStar: true, hclsyntax.TokenSlash: true,
	hclsyntax.TokenPercent: true, hclsyntax.TokenEqualOp: true, hclsyntax.TokenNotEqual: true,
	hclsyntax.TokenLessThan: true, hclsyntax.TokenLessThanEq: true,
	hclsyntax.TokenGreaterThan: true, hclsyntax.TokenGreaterThanEq: true,
}
