package applier

import "context"

// Inspector is an Applier that tells what an object of the target says about
// itself, whoever made it.
type Inspector interface {
	// Inspect finds one object by what a person calls it, or returns
	// ErrNoResource. It costs a request, beside those that find out, now and
	// then, which kinds there are; a few where several kinds are called so. If
	// the target has several such objects, one of them is found.
	Inspect(ctx context.Context, q Inquiry) (Inspected, error)
}

// Inquiry names an object as people do.
type Inquiry struct {
	Kind      string // singular or plural, in any case
	Group     string // beginning of the API group; empty: any
	Namespace string // empty: the applier's default, for kinds that are in namespaces
	Name      string
	// Annotations are those that are wanted. Others may hold what is secret, and
	// stay where they are.
	Annotations []string
}

// Inspected is what an object says.
type Inspected struct {
	Ref         Ref
	Annotations map[string]string // those of Inquiry.Annotations that it has
}
