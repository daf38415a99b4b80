package wire

import (
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// maxDepth bounds the recursion into schemas that came over the wire.
const maxDepth = 32

var nestings = newEnum("nesting", map[schema.Nesting]pb.Nesting{
	schema.Single: pb.Nesting_NESTING_SINGLE,
	schema.List:   pb.Nesting_NESTING_LIST,
	schema.Map:    pb.Nesting_NESTING_MAP,
})

var typeKinds = newEnum("type", map[schema.Kind]pb.TypeKind{
	schema.String: pb.TypeKind_TYPE_KIND_STRING,
	schema.Number: pb.TypeKind_TYPE_KIND_NUMBER,
	schema.Bool:   pb.TypeKind_TYPE_KIND_BOOL,
	schema.Any:    pb.TypeKind_TYPE_KIND_ANY,
	schema.ListOf: pb.TypeKind_TYPE_KIND_LIST,
	schema.MapOf:  pb.TypeKind_TYPE_KIND_MAP,
	schema.Object: pb.TypeKind_TYPE_KIND_OBJECT,
})

// SchemaToProto converts a schema. It fails on values that schema.Of never
// makes.
func SchemaToProto(s *schema.Schema) (*pb.Schema, error) {
	if s == nil {
		return &pb.Schema{}, nil
	}
	attributes, err := tryEach(s.Attributes, attributeToProto)
	if err != nil {
		return nil, err
	}
	blocks, err := tryEach(s.Blocks, blockToProto)
	if err != nil {
		return nil, err
	}
	return &pb.Schema{Attributes: attributes, Blocks: blocks}, nil
}

// SchemaFromProto is the inverse of SchemaToProto. A missing schema is an
// empty one.
func SchemaFromProto(p *pb.Schema) (*schema.Schema, error) { return schemaFromProto(p, 0) }

func schemaFromProto(p *pb.Schema, depth int) (*schema.Schema, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("schema nests deeper than %d", maxDepth)
	}
	attributes, err := tryEach(p.GetAttributes(), attributeFromProto)
	if err != nil {
		return nil, err
	}
	blocks, err := tryEach(p.GetBlocks(), func(b *pb.Block) (schema.Block, error) {
		return blockFromProto(b, depth)
	})
	if err != nil {
		return nil, err
	}
	return &schema.Schema{Attributes: attributes, Blocks: blocks}, nil
}

func attributeToProto(a schema.Attribute) (*pb.Attribute, error) {
	typ, err := typeToProto(a.Type)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	return &pb.Attribute{
		Name:        text(a.Name),
		Type:        typ,
		Required:    a.Required,
		DefaultJson: a.Default,
		Doc:         text(a.Doc),
		Sensitive:   a.Sensitive,
		Deprecated:  text(a.Deprecated),
		Enum:        texts(a.Enum),
		Format:      text(string(a.Format)),
	}, nil
}

func attributeFromProto(p *pb.Attribute) (schema.Attribute, error) {
	typ, err := typeFromProto(p.GetType(), 0)
	if err != nil {
		return schema.Attribute{}, fmt.Errorf("%s: %w", p.GetName(), err)
	}
	return schema.Attribute{
		Name:       p.GetName(),
		Type:       typ,
		Required:   p.GetRequired(),
		Default:    p.GetDefaultJson(),
		Doc:        p.GetDoc(),
		Sensitive:  p.GetSensitive(),
		Deprecated: p.GetDeprecated(),
		Enum:       p.GetEnum(),
		Format:     schema.Format(p.GetFormat()),
	}, nil
}

func blockToProto(b schema.Block) (*pb.Block, error) {
	nesting, err := nestings.encode(b.Nesting)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	}
	body, err := SchemaToProto(&b.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	}
	return &pb.Block{
		Name:    text(b.Name),
		Labels:  texts(b.Labels),
		Nesting: nesting,
		Min:     int64(b.Min),
		Max:     int64(b.Max),
		Doc:     text(b.Doc),
		Body:    body,
	}, nil
}

func blockFromProto(p *pb.Block, depth int) (schema.Block, error) {
	nesting, err := nestings.decode(p.GetNesting())
	if err != nil {
		return schema.Block{}, fmt.Errorf("%s: %w", p.GetName(), err)
	}
	body, err := schemaFromProto(p.GetBody(), depth+1)
	if err != nil {
		return schema.Block{}, fmt.Errorf("%s: %w", p.GetName(), err)
	}
	return schema.Block{
		Name:    p.GetName(),
		Labels:  p.GetLabels(),
		Nesting: nesting,
		Min:     int(p.GetMin()),
		Max:     int(p.GetMax()),
		Doc:     p.GetDoc(),
		Body:    *body,
	}, nil
}

func typeToProto(t schema.Type) (*pb.Type, error) {
	kind, err := typeKinds.encode(t.Kind)
	if err != nil {
		return nil, err
	}
	p := &pb.Type{Kind: kind}
	if t.Elem != nil {
		if p.Elem, err = typeToProto(*t.Elem); err != nil {
			return nil, err
		}
	}
	p.Fields, err = tryEach(t.Fields, func(f schema.Field) (*pb.Field, error) {
		typ, err := typeToProto(f.Type)
		return &pb.Field{Name: text(f.Name), Type: typ, Optional: f.Optional}, err
	})
	return p, err
}

func typeFromProto(p *pb.Type, depth int) (schema.Type, error) {
	if depth > maxDepth {
		return schema.Type{}, fmt.Errorf("type nests deeper than %d", maxDepth)
	}
	kind, err := typeKinds.decode(p.GetKind())
	if err != nil {
		return schema.Type{}, err
	}
	t := schema.Type{Kind: kind}
	if p.GetElem() != nil {
		elem, err := typeFromProto(p.GetElem(), depth+1)
		if err != nil {
			return schema.Type{}, err
		}
		t.Elem = &elem
	} else if kind == schema.ListOf || kind == schema.MapOf {
		return schema.Type{}, fmt.Errorf("a %s has no element type", kind)
	}
	t.Fields, err = tryEach(p.GetFields(), func(f *pb.Field) (schema.Field, error) {
		typ, err := typeFromProto(f.GetType(), depth+1)
		return schema.Field{Name: f.GetName(), Type: typ, Optional: f.GetOptional()}, err
	})
	return t, err
}
