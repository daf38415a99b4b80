package pluginhost

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"time"
)

const (
	logAttrsMax = 64 // attributes of one entry
	levelTrace  = slog.LevelDebug - 4
)

// entry is one line of hclog's JSON format.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// parseEntry reads a JSON object with an @message or @level; ok is false for
// any other line. Whatever types the values have, it does not fail on them.
func parseEntry(line []byte) (e entry, ok bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return entry{}, false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return entry{}, false
	}
	e.level = slog.LevelInfo
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return entry{}, false
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return entry{}, false
		}
		if e.set(key.(string), raw) { // a key of an object is a string
			ok = true
		}
	}
	if _, err := dec.Token(); err != nil {
		return entry{}, false
	}
	return e, ok
}

// set takes one member of the object and reports whether it marks an entry.
func (e *entry) set(key string, raw json.RawMessage) bool {
	value := attrValue(raw)
	switch key {
	case "@message":
		e.message = value.String()
		return true
	case "@level":
		e.level = levelOf(value.String())
		return true
	case "@timestamp":
		// Repeats the record's own time, unless the plugin lags behind.
		t, err := time.Parse(time.RFC3339Nano, value.String())
		if err == nil && time.Since(t).Abs() > time.Second {
			e.attrs = append(e.attrs, slog.Time("logged_at", t))
		}
		return false
	case "@module":
		key = "logger"
	case "@caller":
		key = "caller"
	case "time", "level", "msg", "source", "plugin", "pid": // the host's own
		key = "plugin." + key
	}
	if len(e.attrs) < logAttrsMax {
		e.attrs = append(e.attrs, slog.Attr{Key: key, Value: value})
	}
	return false
}

func attrValue(raw json.RawMessage) slog.Value {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return slog.StringValue(string(raw))
	}
	switch v := v.(type) {
	case string:
		return slog.StringValue(v)
	case bool:
		return slog.BoolValue(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return slog.Int64Value(n)
		}
		if f, err := v.Float64(); err == nil {
			return slog.Float64Value(f)
		}
	}
	return slog.StringValue(string(raw))
}

func levelOf(name string) slog.Level {
	switch name {
	case "trace":
		return levelTrace
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
