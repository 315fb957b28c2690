package config

// Record is how what happens is kept.
type Record struct {
	// Name tells the recorders of one gateway apart: 1 to 32 lower-case letters, digits,
	// - and _. A store stays with its name. Default recorder.
	Name string `yaml:"name"`
	// Retention lets bodies go; what was recorded of them otherwise stays.
	Retention Retention `yaml:"retention"`
}
