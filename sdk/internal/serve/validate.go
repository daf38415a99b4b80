package serve

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// validate answers the one question on stdin.
func validate(s *Server, stdin io.Reader, stdout, stderr io.Writer) int {
	verdict, err := s.validate(stdin)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(verdict)
	}
	if err != nil {
		fmt.Fprintf(stderr, "validate: %v\n", err)
		return 1
	}
	return 0
}

func (s *Server) validate(question io.Reader) (plug.Verdict, error) {
	var v plug.Validation
	if err := json.NewDecoder(question).Decode(&v); err != nil {
		return plug.Verdict{}, fmt.Errorf("standard input: %w", err)
	}
	spec, ok := s.kinds[kindKey{v.Kind, v.Type}]
	if !ok {
		return plug.Verdict{}, s.unknownType(v.Kind, v.Type)
	}
	verdict := plug.Verdict{Problems: make([][]plug.Problem, len(v.Configs))}
	for i, config := range v.Configs {
		verdict.Problems[i] = plug.ProblemsOf(spec.Validate(config))
	}
	return verdict, nil
}
