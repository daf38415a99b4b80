package values

// Merge puts values over others: mappings are merged, everything else is
// replaced, also by null, which takes the chart's own value away. What from
// holds is not changed, nor shared where into changes later.
func Merge(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		if !isMap {
			into[key] = value
			continue
		}
		was, wasMap := into[key].(map[string]any)
		if !wasMap {
			was = make(map[string]any, len(below))
			into[key] = was
		}
		Merge(was, below)
	}
}
