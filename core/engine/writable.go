package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// writeBlock is the block in which a source says that it may be written to, as
// that of git does. A source whose plugin knows no such block decides otherwise.
const writeBlock = "write"

// onlyReads reports whether a source says by its block that it only reads.
func onlyReads(p config.PluginConfig, schemas config.SchemaSource) bool {
	if p.JSON == nil {
		return false
	}
	known, _, err := schemas.Schema(p.Kind, p.Type)
	if err != nil || !slices.ContainsFunc(known.Blocks, func(b schema.Block) bool { return b.Name == writeBlock }) {
		return false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(p.JSON, &fields); err != nil {
		return false
	}
	text := string(fields[writeBlock])
	return text == "" || text == "null"
}

// readOnlyText says what is wrong with a source that somebody wants to write to.
func readOnlyText(source string) string {
	return source + " is read-only: add write { } to its block"
}

// checkWritable notes which sources only read, and warns of what wants to write
// to them.
func (c *candidate) checkWritable() diag.List {
	if c.host == nil {
		return nil // no block asked for a schema
	}
	c.readOnly = map[string]bool{}
	for _, s := range c.cfg.Sources {
		c.readOnly[s.Address] = onlyReads(s.Plugin, c.host)
	}
	sources := map[string]string{}
	var l diag.List
	warn := func(who, source string, at diag.Range) {
		if c.readOnly[source] {
			l = append(l, diag.Diagnostic{
				Severity: diag.Warning, Summary: "Source is read-only", Subject: &at,
				Detail: fmt.Sprintf("%s cannot write to its source: %s.", who, readOnlyText(source)),
			})
		}
	}
	for _, s := range c.cfg.Syncs {
		sources[s.Address] = s.Source
		if s.Marker != nil && s.Marker.Kind == tagMarker {
			warn("the marker of "+s.Address, s.Source, s.Marker.Range)
		}
	}
	for _, r := range c.cfg.Releases {
		sources[r.Address], _ = r.ValuesFiles()
	}
	for _, a := range c.cfg.ImageAutomations {
		warn(a.Address, sources[a.Target], a.Range)
	}
	return l
}
