package engine

import "github.com/sluice-gitops/sluice/core/words"

func many(n int, thing string) string { return words.Count(n, thing) }
