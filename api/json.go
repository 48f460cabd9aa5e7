package api

import (
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
)

// maxBody bounds the body of a request, in bytes; maxDepth how deep it nests.
// The deepest that any route takes has 3.
const (
	maxBody  = 1 << 20
	maxDepth = 16
)

// formats are those that bodies may have: JSON alone.
var formats = map[string]huma.Format{
	"application/json": {Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal},
	"json":             {Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal},
}

func unmarshal(data []byte, v any) error {
	if depth(data) > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	return json.Unmarshal(data, v)
}

// depth is how deep a JSON text nests. It looks no further than it needs to,
// and at what is not JSON too.
func depth(data []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(data) && deepest <= maxDepth; i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
