package config

import _ "embed"

//go:embed starter.yaml
var starter string

// Generate is a commented file to start from. It is valid as it is.
func Generate() string { return starter }
