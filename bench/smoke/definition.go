package main

import "fmt"

const plan = `[{"name":"open","status":"published","security":{"type":"key-less"}}]`

func postAPI(topic string) string {
	return fmt.Sprintf(`{"name":"bench post","apiVersion":"1","definitionVersion":"4.0.0","type":"message",
"listeners":[{"type":"http","paths":[{"path":"/bench/post"}],"entrypoints":[{"type":"http-post","qos":"auto"}]}],
"endpointGroups":[{"name":"kafka","type":"kafka","endpoints":[{"name":"kafka","type":"kafka","configuration":
{"bootstrapServers":"localhost:8082","topics":[%q],"consumer":{"enabled":false},"producer":{"enabled":true}}}]}],"plans":%s}`, topic, plan)
}

func sseAPI(topic string) string {
	return fmt.Sprintf(`{"name":"bench sse","apiVersion":"1","definitionVersion":"4.0.0","type":"message",
"listeners":[{"type":"http","paths":[{"path":"/bench/sse"}],"entrypoints":[{"type":"sse","qos":"auto"}]}],
"endpointGroups":[{"name":"kafka","type":"kafka","endpoints":[{"name":"kafka","type":"kafka","configuration":
{"bootstrapServers":"localhost:8082","topics":[%q],"consumer":{"enabled":true},"producer":{"enabled":false}}}]}],"plans":%s}`, topic, plan)
}
