package el_test

import (
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/policies/el"
)

// cases are texts with their values as literals, or the code of the error (of Parse or of Eval), by the groups of the
// specification.
var cases = map[string][][2]string{
	"text and fragments (6.1)": {
		{``, `''`}, {`plain`, `'plain'`}, {`{"a": 1}`, `'{"a": 1}'`}, {`{ #n }`, `5`}, {`{  (1 + 1) }`, `2`},
		{`{#n}`, `5`}, {`{#n} `, `'5 '`}, {` {#n}`, `' 5'`}, {`{#n}{#n}`, `'55'`}, {`a{#n}b{#t}c`, `'a5bhello worldc'`},
		{`x{#nothing}y`, `'xy'`}, {`{#nothing}`, `null`}, {"{\t#n}", "'{\t#n}'"}, {`{Total: 3}`, `'{Total: 3}'`}, {`{@bean}`, `'{@bean}'`},
		{`{T(java.lang.Math).max(1, 2)}`, `2`}, {`{ T (Math).max(1, 2)}`, `2`}, {`{'x'}`, `'{'x'}'`}, {`{('x')}`, `'x'`},
		{`{#t + '}'}`, `'hello world}'`}, {`{#t + '{'}`, `'hello world{'`}, {`{({'a': {'b': {1, 2}}})}`, `{a: {b: {1, 2}}map}map`},
		{`{"id": {#n}, "t": "{#t}"}`, `'{"id": 5, "t": "hello world"}'`}, {`}{#n}{`, `'}5{'`}, {`{{#n}}`, `'{5}'`},
		{`#n == 5`, `'#n == 5'`}, {`1 == 1`, `'1 == 1'`}, {"{#n\n+\n1}", `6`},
		{`{#`, `EL_SYNTAX`}, {`{#n`, `EL_SYNTAX`}, {`{#n + }`, `EL_SYNTAX`}, {`{#n n}`, `EL_SYNTAX`}, {`{#}`, `EL_SYNTAX`}, {`{()}`, `EL_SYNTAX`},
		{`{#t == 'x}`, `EL_SYNTAX`}, {`{(foo)}`, `EL_SYNTAX`}, {`{(1 2)}`, `EL_SYNTAX`}, {`{# n}`, `EL_SYNTAX`}, {`{(;)}`, `EL_SYNTAX`},
	},
	"literals": {
		{`{(1)}`, `1`}, {`{(-5)}`, `-5`}, {`{(5L)}`, `5L`}, {`{(5l)}`, `5L`}, {`{(1.5)}`, `1.5`}, {`{(1.5f)}`, `1.5`}, {`{(10d)}`, `10.0`},
		{`{(1e3)}`, `1000.0`}, {`{(1.5E-2)}`, `0.015`}, {`{(0x1F)}`, `31`}, {`{(0xFFL)}`, `255L`}, {`{('')}`, `''`}, {`{('it''s')}`, `'it's'`},
		{`{("say ""x""")}`, `'say "x"'`}, {`{(true)}`, `true`}, {`{(FALSE)}`, `false`}, {`{(null)}`, `null`}, {`{(1700000000000l)}`, `1700000000000L`},
		{`{({})}`, `{}`}, {`{({:})}`, `{}map`}, {`{({1,'a',null})}`, `{1, 'a', null}`}, {`{({a:1,'b c':2})}`, `{a: 1, b c: 2}map`},
		{`{({(#t): 1})}`, `{hello world: 1}map`}, {`{(1e10)}`, `1.0E10`}, {`{(0.0001)}`, `1.0E-4`},
		{`{(3000000000)}`, `EL_NUMBER`}, {`{(99999999999999999999L)}`, `EL_NUMBER`}, {`{(1.5L)}`, `EL_NUMBER`}, {`{(12ab)}`, `EL_NUMBER`},
		{`{(0x)}`, `EL_NUMBER`}, {`{(1e999)}`, `EL_NUMBER`}, {`{({a:1)}`, `EL_SYNTAX`},
	},
	"comparison (6.1-f, 6.1-g)": {
		{`{(5 == 5.0)}`, `true`}, {`{(5 == 5L)}`, `true`}, {`{(5 == '5')}`, `false`}, {`{(5 != '5')}`, `true`}, {`{('a' == 'a')}`, `true`},
		{`{('a' < 'b')}`, `true`}, {`{(2 >= 2)}`, `true`}, {`{(2 gt 1)}`, `true`}, {`{(1 LT 2)}`, `true`}, {`{(1 le 1 and 1 ge 1)}`, `true`},
		{`{(1 eq 1 and 1 ne 2)}`, `true`}, {`{(null == null)}`, `true`}, {`{#nothing == null}`, `true`}, {`{#n != null}`, `true`},
		{`{(null < 1)}`, `true`}, {`{(1 > null)}`, `true`}, {`{(null >= null)}`, `true`}, {`{(true == true)}`, `true`}, {`{(true > false)}`, `true`},
		{`{({1,2} == {1,2})}`, `true`}, {`{({1,2} == {1,2L})}`, `true`}, {`{({1,2} == {2,1})}`, `false`}, {`{({a:1} == {a:1})}`, `true`},
		{`{(5 between {1, 5})}`, `true`}, {`{('c' between {'a','b'})}`, `false`}, {`{(3000000000L > 2)}`, `true`}, {`{(0.1 + 0.2 > 0.3)}`, `true`},
		{`{('x' instanceof T(String))}`, `true`}, {`{(1 instanceof T(java.lang.Integer))}`, `true`}, {`{(1L instanceof T(Integer))}`, `false`},
		{`{({1} instanceof T(java.util.List))}`, `true`}, {`{(1 instanceof T(Object))}`, `true`}, {`{(null instanceof T(Object))}`, `false`},
		{`{('a' < 1)}`, `EL_TYPE`}, {`{(true < 1)}`, `EL_TYPE`}, {`{(1 == 1 == true)}`, `EL_SYNTAX`}, {`{(5 between {1})}`, `EL_TYPE`},
		{`{(1 instanceof T(java.io.File))}`, `EL_NOT_ALLOWED`}, {`{(1 instanceof 1)}`, `EL_SYNTAX`},
		{`{#message.timestamp <= 1700000000000l}`, `true`}, {`{#request.timestamp <= 1700000000000l}`, `true`},
	},
	"logic": {
		{`{(true and false)}`, `false`}, {`{(true && true)}`, `true`}, {`{(false or true)}`, `true`}, {`{(false || false)}`, `false`},
		{`{(not true)}`, `false`}, {`{(!false)}`, `true`}, {`{(!(1 == 2))}`, `true`}, {`{(true or false and false)}`, `true`},
		{`{(false and #nothing.x == 1)}`, `false`}, {`{(true or #nothing.x == 1)}`, `true`}, {`{('yes' and true)}`, `true`}, {`{(NOT false)}`, `true`},
		{`{(1 > 0 AND 2 > 1)}`, `true`}, {`{(null and true)}`, `EL_TYPE`}, {`{('maybe' and true)}`, `EL_CONVERSION`}, {`{(!null)}`, `EL_TYPE`},
		{`{(true and #nothing.x == 1)}`, `EL_NULL`},
	},
	"arithmetic": {
		{`{(1 + 2 * 3)}`, `7`}, {`{((1 + 2) * 3)}`, `9`}, {`{(7 / 2)}`, `3`}, {`{(7 / 2.0)}`, `3.5`}, {`{(-7 % 3)}`, `-1`}, {`{(2 ^ 10)}`, `1024`},
		{`{(7 div 2)}`, `3`}, {`{(7 mod 4)}`, `3`}, {`{(10 - 4 - 3)}`, `3`}, {`{(2147483647 + 1)}`, `2147483648L`}, {`{(1 + 1L)}`, `2L`},
		{`{(1 + 1.5)}`, `2.5`}, {`{(5 * -2)}`, `-10`}, {`{(-#n)}`, `-5`}, {`{(+#n)}`, `5`}, {`{('a' + 1)}`, `'a1'`}, {`{(1 + 'a')}`, `'1a'`},
		{`{('a' + null)}`, `'anull'`}, {`{(null + 'a')}`, `'nulla'`}, {`{('a' + 1.0)}`, `'a1.0'`}, {`{('a' + true)}`, `'atrue'`},
		{`{('a' + {1,2})}`, `'a1,2'`}, {`{('ab' * 3)}`, `'ababab'`}, {`{(1.0 / 0)}`, `Infinity`}, {`{(2 ^ 62)}`, `4611686018427387904L`},
		{`{(2 ^ -1)}`, `0`}, {`{(1 / 0)}`, `EL_ARITHMETIC`}, {`{(1 % 0)}`, `EL_ARITHMETIC`}, {`{(9223372036854775807L + 1)}`, `EL_ARITHMETIC`},
		{`{(9223372036854775807L * 2)}`, `EL_ARITHMETIC`}, {`{(2 ^ 64)}`, `EL_ARITHMETIC`}, {`{(1 + null)}`, `EL_NULL`}, {`{('a' - 1)}`, `EL_TYPE`},
		{`{(-'a')}`, `EL_TYPE`}, {`{('a' * 99999999)}`, `EL_LIMIT_SIZE`}, {`{('a' + {a:1})}`, `EL_CONVERSION`}, {`{(#n++)}`, `EL_NOT_ALLOWED`},
		{`{(--5)}`, `EL_NOT_ALLOWED`}, {`{#n = 6}`, `EL_NOT_ALLOWED`},
	},
	"conditionals": {
		{`{(true ? 1 : 2)}`, `1`}, {`{#n > 5 ? 'big' : 'small'}`, `'small'`}, {`{(false ? 1 : true ? 2 : 3)}`, `2`}, {`{#nothing ?: 'd'}`, `'d'`},
		{`{('' ?: 'd')}`, `'d'`}, {`{#t ?: 'd'}`, `'hello world'`}, {`{(0 ?: 1)}`, `0`}, {`{#nothing?.x ?: 'd'}`, `'d'`}, {`{(null ? 1 : 2)}`, `EL_TYPE`},
		{`{(true ? 1)}`, `EL_SYNTAX`}, {`{(true ? 1 : )}`, `EL_SYNTAX`}, {`{#nothing.x ?: 'd'}`, `EL_NULL`},
	},
	"matches": {
		{`{('abc' matches 'a.c')}`, `true`}, {`{('xabc' matches 'a.c')}`, `false`}, {`{('abc' matches '[a-c]+')}`, `true`}, {`{(42 matches '\d+')}`, `true`},
		{`{('a' matches #subscription.metadata['filter'])}`, `false`}, {`{('v9' matches #subscription.metadata['filter'])}`, `true`},
		{`{('ABC' matches '(?i)abc')}`, `true`}, {`{('a b' matches '\p{Alpha}\s\p{Lower}')}`, `true`}, {`{('a|b' matches '\Qa|b\E')}`, `true`},
		{`{('a1' matches '[\w&&[^\d]]+')}`, `EL_REGEX`}, {`{('é' matches '\u00e9')}`, `true`}, {`{('ab' matches '(?<x>a)b')}`, `true`},
		{`{('a' matches 'a|ab')}`, `true`}, {`{('ab' matches 'a|ab')}`, `true`}, {`{(']' matches '[]]')}`, `true`}, {`{('c' matches '[ab[cd]]')}`, `true`},
		{`{('x' matches '(?=x)x')}`, `EL_REGEX`}, {`{('xx' matches '(x)\1')}`, `EL_REGEX`}, {`{('x' matches 'x++')}`, `EL_REGEX`},
		{`{('x' matches '(?>x)')}`, `EL_REGEX`}, {`{('x' matches '(')}`, `EL_REGEX`}, {`{('x' matches '[a')}`, `EL_REGEX`},
		{`{('x' matches #subscription.metadata['bad'])}`, `EL_REGEX`}, {`{#nothing matches 'x'}`, `EL_NULL`}, {`{('x' matches #n)}`, `EL_TYPE`},
	},
	"navigation and index": {
		{`{#m.a}`, `1`}, {`{#m['a']}`, `1`}, {`{#m[a]}`, `1`}, {`{#m.missing}`, `null`}, {`{#m['missing']}`, `null`}, {`{#m.list[0]}`, `1`},
		{`{#m.list[3]}`, `4`}, {`{#m.list['1']}`, `2`}, {`{#m.missing?.x}`, `null`}, {`{#nothing?.x?.y}`, `null`}, {`{#t[4]}`, `'o'`}, {`{#m['na' + 'me']}`, `'Zoë'`},
		{`{#nothing?.length()}`, `null`}, {`{#nothing?.[0]}`, `null`}, {`{#group[1]}`, `'g1'`}, {`{#calloutResponse.status >= 400 and #calloutResponse.status <= 599}`, `true`},
		{`{#m.list.empty}`, `false`}, {`{#t.bytes.length}`, `11`},
		{`{#m.missing.x}`, `EL_NULL`}, {`{#nothing['x']}`, `EL_NULL`}, {`{#m.list[4]}`, `EL_INDEX`}, {`{#m.list[-1]}`, `EL_INDEX`}, {`{#t[99]}`, `EL_INDEX`},
		{`{#n.x}`, `EL_TYPE`}, {`{#n[0]}`, `EL_TYPE`}, {`{#t.class}`, `EL_TYPE`}, {`{#m.list['x']}`, `EL_CONVERSION`}, {`{#m.}`, `EL_SYNTAX`}, {`{#m[}`, `EL_SYNTAX`},
	},
	"headers (6.1-d)": {
		{`{#request.headers['X-One'] == 'v1'}`, `true`}, {`{#request.headers['x-one'][0] == 'v1'}`, `true`}, {`{#request.headers['X-Type'][0] == 'a'}`, `true`},
		{`{#request.headers['X-One'].equals('v1')}`, `false`}, {`{#request.headers['X-One'].contains('v1')}`, `true`}, {`{#request.headers['X-One'] matches 'v.'}`, `true`},
		{`{#request.headers['X-Many'] matches 'v1,v2'}`, `true`}, {`{('' + #request.headers['X-Many'])}`, `'v1,v2'`},
		{`-{#request.headers['X-Many']}-`, `'-v1,v2-'`}, {`{#request.headers['X-Many']}`, `{'v1', 'v2'}`}, {`{#request.headers['Nope'] == null}`, `true`},
		{`{#request.headers['Nope'][0]}`, `EL_NULL`}, {`{#request.headers['Nope']?.[0]}`, `null`}, {`{#request.headers.getFirst('x-many')}`, `'v1'`},
		{`{#request.headers.get('X-Many')}`, `'v1'`}, {`{#request.headers.getAll('X-Many')}`, `{'v1', 'v2'}`}, {`{#request.headers.containsKey('x-one')}`, `true`},
		{`{#request.headers.contains('Nope')}`, `false`}, {`{#request.headers.isEmpty()}`, `false`}, {`{#request.headers.getFirst('Nope')}`, `null`},
		{`{#request.headers['X-Many'].size()}`, `2`}, {`{#request.headers['X-Number'][0] + 1}`, `'421'`}, {`{#message.headers.toSingleValueMap()}`, `{foo: 'bar-value', X-Many: 'v1', ce_id: '1', empty: ''}map`},
		{`{#message.headers.foo == #subscription.metadata['bar']}`, `true`}, {`{#subscription.metadata['bar'] == #message.headers.foo}`, `true`},
		{`{#message.headers['FOO'][0]}`, `'bar-value'`}, {`{#message.headers['ce_id']}`, `{'1'}`}, {`{#message.headers['X-Many'] == 'v2'}`, `false`},
		{`{#message.headers['X-Many'] == {'v1', 'v2'}}`, `true`}, {`{#message.headers.names}`, `null`}, {`{#message.headers.names()}`, `{'foo', 'X-Many', 'ce_id', 'empty'}`},
		{`{#message.headers.size()}`, `4`}, {`{#message.headers['empty'] == ''}`, `true`}, {`{#message.headers['X-Many'][1]}`, `'v2'`}, {`{#message.headers['X-Many'][2]}`, `EL_INDEX`},
		{`{#message.headers.foo != 'x'}`, `true`}, {`{#message.headers['foo'].startsWith('bar')}`, `EL_TYPE`}, {`headers: {#request.headers}`, `EL_CONVERSION`},
		{`{#response.headers['X-Back'][0]}`, `'b'`}, {`{#request.headers['Content-Type'][0]}`, `'application/json'`}, {`{#request.headers['Content-Length'] != null}`, `true`},
		{`{#request.headers.containsAllKeys({'X-One','X-Many'})}`, `true`},
	},
	"request and response (6.2-a, b)": {
		{`{#request.id}`, `'r-1'`}, {`{#request.transactionId}`, `'t-1'`}, {`{#request.method}`, `'POST'`}, {`{#request.uri}`, `'/orders/eu/42?q=one&q=two&Empty='`},
		{`{#request.path}`, `'/orders/eu/42'`}, {`{#request.paths}`, `{'', 'orders', 'eu', '42'}`}, {`{#request.paths[1]}`, `'orders'`}, {`{#request.pathInfo}`, `'/eu/42'`},
		{`{#request.pathInfos[2]}`, `'42'`}, {`{#request.contextPath}`, `'/orders/'`}, {`{#request.params['q']}`, `{'one', 'two'}`}, {`{#request.params['q'] == 'one'}`, `true`},
		{`{#request.params.getFirst('q')}`, `'one'`}, {`{#request.params.get('q')[1]}`, `'two'`}, {`{#request.params['Q']}`, `null`}, {`{#request.params.Empty[0]}`, `''`},
		{`{#request.params.keySet()}`, `{'q', 'Empty'}`}, {`{#request.scheme}`, `'http'`}, {`{#request.host}`, `'gateway.test'`}, {`{#request.version}`, `'HTTP_1_1'`},
		{`{#request.remoteAddress}`, `'10.0.0.7'`}, {`{#request.timestamp != 0}`, `true`}, {`{#request.jsonContent.a.b}`, `5`}, {`{#request.jsonContent.items[1].price}`, `20.5`},
		{`{#request.content.length() > 10}`, `true`}, {`{#request.xmlContent}`, `{}map`}, {`{#request.pathParams['id']}`, `null`}, {`{#request.ssl.client.cn}`, `''`},
		{`{#request.ssl.client.defined}`, `false`}, {`{#request.ssl.clientHost}`, `null`}, {`{#request['method']}`, `'POST'`}, {`{#response.status}`, `404`},
		{`{#response.status == 200 ? 'ok' : 'ko'}`, `'ko'`}, {`{#response.jsonContent.ok}`, `true`}, {`{#response.contentJson.ok}`, `true`}, {`{#response.reason}`, `'Not Found'`},
		{`{#request.foo}`, `EL_UNKNOWN`}, {`{#request['foo']}`, `EL_UNKNOWN`}, {`{#request}`, `EL_CONVERSION`}, {`{#request.getContent()}`, `EL_NOT_ALLOWED`},
	},
	"message (6.2-c)": {
		{`{#message.id}`, `'m-1'`}, {`{#message.error}`, `false`}, {`{#message.contentLength > 0}`, `true`}, {`{#message.metadata['topic']}`, `'orders'`},
		{`{#message.metadata.offset + 1}`, `13`}, {`{#message.metadata['sourceTimestamp']}`, `1700000000000L`}, {`{#message.metadata['x']}`, `null`},
		{`{#message.attributes['seen']}`, `true`}, {`{#message.attributes.n == 3}`, `true`}, {`{#message.attributes['list'][1]}`, `'q'`}, {`{#message.key}`, `'k1'`},
		{`{#message.topic}`, `'orders'`}, {`{#message.partition}`, `3`}, {`{#message.offset}`, `12L`}, {`{#message.timestamp}`, `1700000000000L`},
		{`{#message.jsonContent.a.s}`, `'text'`}, {`{#message.jsonContent['list'].size()}`, `3`}, {`{#message.xmlContent}`, `{}map`},
		{`{#message.jsonContent.a.n == null}`, `true`}, {`{#message.jsonContent.big}`, `3000000000L`}, {`{#message.content.contains('price')}`, `true`},
		{`{#message.metadata.keySet()}`, `{'topic', 'offset', 'sourceTimestamp'}`}, {`{#message.correlationId}`, `EL_UNKNOWN`}, {`{#message.contnt}`, `EL_UNKNOWN`},
		{`{#message.headers['X-Type'] == 'a' || #message.jsonContent.a.b > 4}`, `true`},
	},
	"context, subscription, api and the rest (6.2-e to j, 6.4)": {
		{`{#context.attributes['api']}`, `'api-1'`}, {`{#context.attributes['gravitee.attribute.api']}`, `'api-1'`}, {`{#context.attributes['plan']}`, `'p-1'`},
		{`{#context.attributes['application'] == 'app-1'}`, `true`}, {`{#context.attributes['user-id']}`, `'sub-1'`}, {`{#context.attributes['clientIdentifier']}`, `'client-1'`},
		{`{#context.attributes['client-identifier']}`, `'client-1'`}, {`{#context.attributes['api.name']}`, `'Orders'`}, {`{#context.attributes.missing}`, `null`},
		{`{#context.attributes['user.roles'].contains('admin')}`, `true`}, {`{#context.attributes['count'] > 6}`, `true`}, {`{#context.attributes.containsKey('count')}`, `true`},
		{`{#context.attributes.containsKey('gravitee.attribute.count')}`, `true`}, {`{#context.attributes.keySet().contains('plan')}`, `true`},
		{`{#subscription.id}`, `'sub-1'`}, {`{#subscription.type}`, `'STANDARD'`}, {`{#subscription.metadata['filter']}`, `'v.*'`}, {`{#subscription.metadata.none}`, `null`},
		{`{#subscription.clientId}`, `'c-1'`}, {`{#subscription.applicationName}`, `'App'`}, {`{#subscription.apiProductId}`, `null`}, {`{#subscription.foo}`, `EL_UNKNOWN`},
		{`{#api.id}`, `'api-1'`}, {`{#api.name}`, `'Orders'`}, {`{#api.version}`, `'1.2'`}, {`{#api.properties['k']}`, `'v'`}, {`{#properties['k']}`, `'v'`}, {`{#properties.n}`, `'10'`},
		{`{#dictionaries['d']['k']}`, `'entry'`}, {`{#dictionaries['x']?.k}`, `null`}, {`{#dictionaries['x']['k']}`, `EL_NULL`}, {`{#endpoints['main']}`, `'main:'`},
		{`{#endpoints['main']}/path`, `'main:/path'`}, {`{#node.version}`, `'0.1.0'`}, {`{#node.id}`, `'n-1'`}, {`{#node.shardingTags.contains('eu')}`, `true`}, {`{#node.tenant}`, `null`},
		{`{#error.statusCode}`, `503`}, {`{#error.key}`, `'KEY'`}, {`{#error.cause}`, `'Broken'`}, {`{#parameters['p']}`, `'q'`}, {`{#error.parameters.p}`, `'q'`},
		{`{"message": "{#error.message}"}`, `'{"message": "Broken"}'`}, {`{#secrets.get('/vault/secret/x:key')}`, `'hunter2'`}, {`{#secrets.get('/vault/secret/x', 'key')}`, `'hunter2'`},
		{`{#secrets.get('/vault/none:key')}`, `EL_SECRET`}, {`{#organization}`, `null`}, {`{#context.foo}`, `EL_UNKNOWN`}, {`{#secrets.x}`, `EL_UNKNOWN`},
		{`{#context.attributes.size() > 3}`, `true`}, {`{#application}`, `null`},
	},
	"text methods": {
		{`{#t.length()}`, `11`}, {`{#t.substring(6)}`, `'world'`}, {`{#t.substring(0, 5)}`, `'hello'`}, {`{#t.split(' ')}`, `{'hello', 'world'}`}, {`{#t.split(' ')[1]}`, `'world'`},
		{`{#t.contains('lo w')}`, `true`}, {`{#t.startsWith('hell')}`, `true`}, {`{#t.startsWith('world', 6)}`, `true`}, {`{#t.endsWith('ld')}`, `true`}, {`{#t.indexOf('o')}`, `4`},
		{`{#t.indexOf('o', 5)}`, `7`}, {`{#t.indexOf('z')}`, `-1`}, {`{#t.lastIndexOf('o')}`, `7`}, {`{#t.replace('l', 'L')}`, `'heLLo worLd'`}, {`{#t.replaceAll('[aeiou]', '*')}`, `'h*ll* w*rld'`},
		{`{#t.replaceFirst('o', '0')}`, `'hell0 world'`}, {`{#t.replaceAll('(\w+) (\w+)', '$2 $1')}`, `'world hello'`}, {`{#t.toUpperCase()}`, `'HELLO WORLD'`}, {`{('ABC'.toLowerCase())}`, `'abc'`},
		{`{('  x '.trim())}`, `'x'`}, {`{('a'.equals('a'))}`, `true`}, {`{('a'.equals(null))}`, `false`}, {`{('A'.equalsIgnoreCase('a'))}`, `true`}, {`{#t.matches('hello.*')}`, `true`},
		{`{#t.matches('hello')}`, `false`}, {`{('a'.concat('b'))}`, `'ab'`}, {`{(''.isEmpty())}`, `true`}, {`{(' '.isBlank())}`, `true`}, {`{#t.charAt(1)}`, `'e'`}, {`{('b'.compareTo('a'))}`, `1`},
		{`{('ab'.repeat(2))}`, `'abab'`}, {`{('a,b,,'.split(','))}`, `{'a', 'b'}`}, {`{('a,b,,'.split(',', -1))}`, `{'a', 'b', '', ''}`}, {`{('a,b,c'.split(',', 2))}`, `{'a', 'b,c'}`},
		{`{(''.split(','))}`, `{''}`}, {`{(','.split(','))}`, `{}`}, {`{('abc'.split(''))}`, `{'a', 'b', 'c'}`}, {`{('a.b'.split('\.'))}`, `{'a', 'b'}`}, {`{('hello'.hashCode())}`, `99162322`},
		{`{#emoji.length()}`, `4`}, {`{#emoji.substring(3)}`, `'b'`}, {`{#emoji.indexOf('b')}`, `3`}, {`{('x'.toString())}`, `'x'`}, {`{(5.toString())}`, `'5'`}, {`{#m.list.toString()}`, `'[1, 2, 3, 4]'`},
		{`{('abc'.substring(4))}`, `EL_INDEX`}, {`{('abc'.substring(2, 1))}`, `EL_INDEX`}, {`{('abc'.charAt(3))}`, `EL_INDEX`}, {`{('a'.contains(null))}`, `EL_NULL`}, {`{#nothing.length()}`, `EL_NULL`},
		{`{#t.getClass()}`, `EL_NOT_ALLOWED`}, {`{#t.length(1)}`, `EL_ARGUMENTS`}, {`{#t.substring()}`, `EL_ARGUMENTS`}, {`{#t.replaceAll('(', '')}`, `EL_REGEX`}, {`{#t.replaceAll('o', '$3')}`, `EL_REGEX`},
		{`{#n.length()}`, `EL_TYPE`}, {`{#t.chars()}`, `EL_NOT_ALLOWED`}, {`{('a'.repeat(-1))}`, `EL_ARGUMENT`},
	},
	"list and map methods": {
		{`{#m.list.size()}`, `4`}, {`{#m.list.contains(3)}`, `true`}, {`{#m.list.contains(9)}`, `false`}, {`{#m.list.get(0)}`, `1`}, {`{#m.list.isEmpty()}`, `false`}, {`{#m.list.indexOf(2)}`, `1`},
		{`{#m.list.getFirst()}`, `1`}, {`{#m.list.getLast()}`, `4`}, {`{#m.list.containsAll({1, 2})}`, `true`}, {`{#m.size()}`, `4`}, {`{#m.containsKey('a')}`, `true`}, {`{#m.containsKey('z')}`, `false`},
		{`{#m.get('a')}`, `1`}, {`{#m.getOrDefault('z', 7)}`, `7`}, {`{#m.keySet()}`, `{'a', 'list', 'name', 'names'}`}, {`{({a:1,b:2}.values())}`, `{1, 2}`}, {`{({a:1}.containsValue(1))}`, `true`},
		{`{({a:1}.isEmpty())}`, `false`}, {`{({a:1}.entrySet().![key + value])}`, `{'a1'}`}, {`{({a:1}.entrySet().![getKey()])}`, `{'a'}`}, {`{({}.getFirst())}`, `EL_INDEX`}, {`{#m.list.add(5)}`, `EL_NOT_ALLOWED`},
		{`{#m.put('a', 1)}`, `EL_NOT_ALLOWED`}, {`{#m.list.get(9)}`, `EL_INDEX`}, {`{({a:{1,2}}.toString())}`, `'{a=[1, 2]}'`},
	},
	"selection and projection": {
		{`{#m.list.?[#this > 2]}`, `{3, 4}`}, {`{#m.list.^[#this > 2]}`, `3`}, {`{#m.list.$[#this > 2]}`, `4`}, {`{#m.list.^[#this > 9]}`, `null`}, {`{#m.list.![#this * 2]}`, `{2, 4, 6, 8}`},
		{`{#message.jsonContent.items.?[price > 15]}`, `{{name: 'y', price: 20.5}map}`}, {`{#message.jsonContent.items.?[price > 15].![name]}`, `{'y'}`}, {`{#message.jsonContent.items.![name]}`, `{'x', 'y'}`},
		{`{#message.jsonContent.items.![#this.name]}`, `{'x', 'y'}`}, {`{#message.jsonContent.items.![name.toUpperCase()][0]}`, `'X'`}, {`{({a:1,b:2}.?[value > 1])}`, `{b: 2}map`},
		{`{({a:1,b:2}.^[value > 0])}`, `{a: 1}map`}, {`{({a:1,b:2}.$[value > 0])}`, `{b: 2}map`}, {`{({a:1,b:2}.![key])}`, `{'a', 'b'}`}, {`{#nothing?.?[#this > 1]}`, `null`}, {`{#m.list.?[false].size()}`, `0`},
		{`{#m.list.?[#this > #n - 3]}`, `{3, 4}`}, {`{({{1,2},{3}}.![#this.![#this + 1]])}`, `{{2, 3}, {4}}`}, {`{({{1,2},{3}}.![size()])}`, `{2, 1}`}, {`{#message.headers['X-Many'].?[#this == 'v2']}`, `{'v2'}`},
		{`{#nothing.?[#this > 1]}`, `EL_NULL`}, {`{#n.?[#this > 1]}`, `EL_TYPE`}, {`{#m.list.?[#this]}`, `{1, 2, 3, 4}`}, {`{#m.list.?[null]}`, `EL_TYPE`}, {`{#this > 1}`, `EL_UNKNOWN`}, {`{#m.list.?[#this}`, `EL_SYNTAX`},
		{`{#request.headers.?[key == 'X-One'].size()}`, `1`},
	},
	"classes (6.3-e)": {
		{`{T(java.lang.Math).min(1, 2L)}`, `1L`}, {`{T(java.lang.Math).max(1, 2.5)}`, `2.5`}, {`{T(Math).abs(-3)}`, `3`}, {`{T(Math).round(2.5)}`, `3L`}, {`{T(Math).floor(2.7)}`, `2.0`}, {`{T(Math).pow(2, 3)}`, `8.0`},
		{`{T(Math).sqrt(9)}`, `3.0`}, {`{T(Math).PI > 3}`, `true`}, {`{T(Math).floorMod(-1, 3)}`, `2`}, {`{T(Math).floorDiv(-1, 3)}`, `-1`}, {`{T(java.lang.Integer).parseInt('42')}`, `42`},
		{`{T(Integer).parseInt('ff', 16)}`, `255`}, {`{T(Long).parseLong(#request.headers['X-Number'][0]) > 41}`, `true`}, {`{T(Long).valueOf('7')}`, `7L`}, {`{T(Double).parseDouble('1.5')}`, `1.5`},
		{`{T(Boolean).parseBoolean('TRUE')}`, `true`}, {`{T(Integer).MAX_VALUE}`, `2147483647`}, {`{T(Integer).toHexString(255)}`, `'ff'`}, {`{T(String).valueOf(5)}`, `'5'`}, {`{T(String).join('-', 'a', 'b')}`, `'a-b'`},
		{`{T(String).join('-', {'a', 'b'})}`, `'a-b'`}, {`{T(String).format('%s is %d (%.2f)', 'x', 5, 1.5)}`, `'x is 5 (1.50)'`}, {`{T(String).format('%05d|%-5s|%5s|%x|%,d%%', 42, 'a', 'b', 255, 1234567)}`, `'00042|a    |    b|ff|1,234,567%'`},
		{`{T(String).format('%2$s %1$s', 'a', 'b')}`, `'b a'`}, {`{T(java.net.URLEncoder).encode('a b&*~', 'UTF-8')}`, `'a+b%26*%7E'`}, {`{T(java.net.URLDecoder).decode('a+b%26', 'UTF-8')}`, `'a b&'`},
		{`{T(java.util.Base64).getEncoder().encodeToString('user:pw'.getBytes())}`, `'dXNlcjpwdw=='`}, {`{(new String(T(java.util.Base64).getDecoder().decode('dXNlcjpwdw==')))}`, `'user:pw'`},
		{`{T(java.util.Base64).getUrlEncoder().withoutPadding().encodeToString('user:pw'.getBytes('UTF-8'))}`, `'dXNlcjpwdw'`}, {`{T(java.util.Collections).max({3, 9, 4})}`, `9`}, {`{T(java.util.Collections).frequency({1, 1, 2}, 1)}`, `2`},
		{`{T(java.util.UUID).randomUUID().toString().length()}`, `36`}, {`{T(java.lang.System).currentTimeMillis() > 1700000000000L}`, `true`}, {`{T(Math).random() < 1}`, `true`},
		{`{T(java.time.LocalDate).parse('2026-11-22').plusDays(10).toString()}`, `'2026-12-02'`}, {`{T(java.time.LocalDate).of(2024, 1, 31).plusMonths(1).toString()}`, `'2024-02-29'`}, {`{T(java.time.LocalDate).parse('2026-11-22').year}`, `2026`},
		{`{T(java.time.LocalDateTime).parse('2026-11-22T10:15:30').format(T(java.time.format.DateTimeFormatter).ofPattern('dd/MM/yyyy HH:mm'))}`, `'22/11/2026 10:15'`},
		{`{T(java.time.ZonedDateTime).parse('2026-11-22T10:15:30Z').toEpochSecond()}`, `1795342530L`}, {`{T(java.time.LocalDate).parse('2026-11-22').isBefore(T(java.time.LocalDate).parse('2026-11-23'))}`, `true`},
		{`{T(java.time.LocalDate).now().isAfter(T(java.time.LocalDate).of(2020, 1, 1))}`, `true`}, {`{(new java.util.Date(1000L).getTime())}`, `1000L`}, {`{(new java.util.Date().getTime() > 0)}`, `true`},
		{`{(new java.text.SimpleDateFormat('yyyy-MM-dd').parse('1970-01-02').time)}`, `86400000L`}, {`{T(java.time.LocalDate).parse('22.11.2026', T(java.time.format.DateTimeFormatter).ofPattern('dd.MM.yyyy')).toString()}`, `'2026-11-22'`},
		{`{T(java.lang.Runtime).getRuntime()}`, `EL_NOT_ALLOWED`}, {`{T(java.lang.System).getenv('PATH')}`, `EL_NOT_ALLOWED`}, {`{T(java.lang.System).exit(1)}`, `EL_NOT_ALLOWED`}, {`{T(Class).forName('x')}`, `EL_NOT_ALLOWED`},
		{`{T(java.time.Instant).now()}`, `EL_NOT_ALLOWED`}, {`{(new java.io.File('x'))}`, `EL_NOT_ALLOWED`}, {`{T(Math)}`, `EL_SYNTAX`}, {`{T(Math).max(1)}`, `EL_ARGUMENTS`}, {`{T(Math).NOPE}`, `EL_NOT_ALLOWED`}, {`{T(Integer).parseInt('x')}`, `EL_ARGUMENT`},
		{`{T(String).format('%d', 'x')}`, `EL_ARGUMENT`}, {`{T(String).format('%q', 1)}`, `EL_ARGUMENT`}, {`{T(String).format('%s')}`, `EL_ARGUMENT`}, {`{(@bean.x)}`, `EL_NOT_ALLOWED`}, {`{(new java.util.Date(0L))} `, `EL_CONVERSION`},
		{`{T(java.time.LocalDate).parse('x')}`, `EL_ARGUMENT`}, {`{T(java.util.Base64).getDecoder().decode('!')}`, `EL_ARGUMENT`}, {`{T(java.util.Base64).getDecoder().encode('x')}`, `EL_TYPE`},
	},
	"functions (6.3)": {
		{`{#jsonPath(#message.content, '$.a.b')}`, `5`}, {`{#jsonPath(#message.content, '$.a.s') == 'text'}`, `true`}, {`{#jsonPath(#message.content, '$.a.missing')}`, `null`}, {`{#jsonPath(#message.content, '$.list')}`, `{1, 2, 3}`},
		{`{#jsonPath(#message.content, '$.list').size()}`, `3`}, {`{#jsonPath(#message.content, '$.list[0]')}`, `1`}, {`{#jsonPath(#message.content, '$.list[-1]')}`, `3`}, {`{#jsonPath(#message.content, '$.items[*].name')}`, `{'x', 'y'}`},
		{`{#jsonPath(#message.content, '$..price')}`, `{10, 20.5}`}, {`{#jsonPath(#message.content, '$.items[?(@.price > 15)].name')}`, `{'y'}`}, {`{#jsonPath(#message.content, "$.items[?(@.name == 'x')].price")}`, `{10}`},
		{`{#jsonPath(#message.content, '$.items[0:1]')}`, `{{name: 'x', price: 10}map}`}, {`{#jsonPath(#message.content, '$.items[?(@.none)]')}`, `{}`}, {`{#jsonPath(#message.content, "$['a']['b']")}`, `5`},
		{`{#jsonPath(#message.content, 'a.b')}`, `5`}, {`{#jsonPath(#message.content, '$.a')}`, `{b: 5, s: 'text', n: null}map`}, {`{#jsonPath(#request.jsonContent, '$.a.b')}`, `5`}, {`{#jsonPath(#json, '$.' + 'big')}`, `3000000000L`},
		{`{#jsonPath(#message.content, '$.missing.b')}`, `EL_PATH`}, {`{#jsonPath(#message.content, '$.list[9]')}`, `EL_PATH`}, {`{#jsonPath('no json', '$.a')}`, `EL_DOCUMENT`}, {`{#jsonPath('', '$.a')}`, `EL_DOCUMENT`},
		{`{#jsonPath(#nothing, '$.a')}`, `EL_NULL`}, {`{#jsonPath(#message.content, '$[')}`, `EL_PATH`}, {`{#jsonPath(#message.content)}`, `EL_ARGUMENTS`}, {`{#jsonPath('{} {}', '$')}`, `EL_DOCUMENT`},
		{`{#jsonPath(#message.content, '$.items[*].name').contains('x')}`, `true`}, {`{#jsonPath(#message.content, '$.nope[*].x')}`, `{}`},
		{`{#xpath(#xml, '/order/item')}`, `'one'`}, {`{#xpath(#xml, '//missing')}`, `''`}, {`{#xpath(#xml, '/order/@id')}`, `'7'`}, {`{#xpath(#xml, '//item', 'node_list')}`, `{'one', 'two'}`},
		{`{#xpath(#xml, '//total', 'number') + 20}`, `55.0`}, {`{#xpath(#xml, 'count(//item)', 'number')}`, `2.0`}, {`{#xpath(#xml, '//item', 'boolean')}`, `true`}, {`{#xpath(#xml, 'count(//item)')}`, `'2'`},
		{`{#xpath(#xml, '//none', 'boolean')}`, `false`}, {`{#xpath(#xml, '//item', 'set')}`, `EL_ARGUMENT`}, {`{#xpath('<a', '//a')}`, `EL_DOCUMENT`}, {`{#xpath(#xml, '//[')}`, `EL_PATH`}, {`{#xpath('x', '//a')}`, `EL_DOCUMENT`},
		{`{#jsonEscape('a"b' + '/é')}`, `'a\"b\/\u00E9'`}, {`{#xmlEscape('<a href="x">&''</a>')}`, `'&lt;a href=&quot;x&quot;&gt;&amp;&apos;&lt;/a&gt;'`}, {`{#xmlEscape(null)}`, `null`}, {`{#jsonEscape({'a', null, 'b'})}`, `'a  b'`},
		{`{#date()}`, `EL_NOT_ALLOWED`}, {`{#uuid()}`, `EL_NOT_ALLOWED`}, {`{length()}`, `'{length()}'`}, {`{(length())}`, `EL_NOT_ALLOWED`},
	},
}

func TestEval(t *testing.T) {
	t.Parallel()
	n := 0
	for group, list := range cases {
		n += len(list)
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for _, c := range list {
				scope := newScope()
				if got := outcome(c[0], scope); got != c[1] {
					t.Errorf("%s\n got %s\nwant %s", c[0], got, c[1])
				}
			}
		})
	}
	if n < 250 {
		t.Errorf("only %d cases", n)
	}
}

// outcome is the value of a text or the code of its error.
func outcome(src string, scope el.Scope) string {
	tmpl, err := el.Parse(src, el.Options{})
	var v el.Value
	if err == nil {
		v, err = tmpl.Eval(scope)
	}
	if err == nil {
		return show(v)
	}
	var bad *el.Error
	if !errors.As(err, &bad) {
		return "an error without a place: " + err.Error()
	}
	if bad.Line < 1 || bad.Column < 1 || bad.Offset > len(src) || bad.Message == "" {
		return "an error without a place: " + err.Error()
	}
	return string(bad.Code)
}
