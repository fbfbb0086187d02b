package apidef_test

import (
	"fmt"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

func ExampleDecode() {
	doc, err := apidef.Decode([]byte(`
name: orders
type: async
apiVersion: "1.0"
listeners:
  - type: HTTP
    paths: [{path: orders}]
    entrypoints: [{type: http-post, qos: AT_LEAST_ONCE}]
endpointGroups:
  - {name: brokers, type: mqtt5, endpoints: [{name: broker, type: mqtt5}]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(doc.API.Type, doc.API.Listeners[0].Paths[0].Path, doc.API.Listeners[0].Entrypoints[0].QoS)
	for _, p := range doc.Validate(fakes()) {
		fmt.Printf("line %d: %s  %s\n", p.Line, p.Pointer, p.Message)
	}
	// Output:
	// message /orders/ at-least-once
	// line 8: /listeners/0/entrypoints/0/qos  at-least-once is not possible with http-post; choose one of: none, auto
}
