package rest

import (
	"strconv"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
)

// seal encrypts the properties of a definition that are to be encrypted (spec 6.2), so that their values are in no log, no
// backup and no answer. One that is encrypted already comes from an answer of ours; another key's could be opened by no worker.
func (s *Server) seal(doc *apidef.Document) apidef.Problems {
	var found apidef.Problems
	for i := range doc.API.Properties {
		p := &doc.API.Properties[i]
		if !p.Encrypted && !p.Encryptable {
			continue
		}
		refuse := func(member, text string) {
			found = append(found, apidef.Problem{Pointer: doc.Origin("/properties/" + strconv.Itoa(i) + "/" + member), Code: management.CodePropertySealed, Severity: apidef.Error, Message: text})
		}
		if s.cfg.Properties == nil {
			member := "encrypted"
			if !p.Encrypted {
				member = "encryptable"
			}
			refuse(member, "needs a key that control plane and workers share: start them with --properties-key-file")
			continue
		}
		if !p.Encrypted {
			p.Value, p.Encrypted = s.cfg.Properties.Seal(p.Key, p.Value), true
			continue
		}
		if _, err := s.cfg.Properties.Open(p.Key, p.Value); err != nil {
			refuse("value", "was not encrypted with the key of this control plane for this property; write the plain value with encryptable true and encrypted false")
		}
	}
	return found
}
