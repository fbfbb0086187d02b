package apidef

import (
	"maps"
	"slices"
	"strings"
)

// checkResponseTemplates checks the status and the media types (spec 1.12).
func (c *checker) checkResponseTemplates() {
	for _, key := range slices.Sorted(maps.Keys(c.api.ResponseTemplates)) {
		byType := c.api.ResponseTemplates[key]
		for _, mediaType := range slices.Sorted(maps.Keys(byType)) {
			t := byType[mediaType]
			at := childOf(childOf("/responseTemplates", key), mediaType)
			if t.Status != 0 && (t.Status < 100 || t.Status > 599) {
				c.fail(at+"/status", CodeResponseTemplate, "%d is no HTTP status; a status is 100 to 599", t.Status)
			}
			if !strings.Contains(mediaType, "/") {
				c.fail(at, CodeResponseTemplate, "%q is no media type; write one like application/json, or */* for all", mediaType)
			}
		}
	}
}
