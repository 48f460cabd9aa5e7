package lockstep_test

// The rooms of pods: the target's exit statuses come in band, and the source opens it.
func init() {
	rooms["source/kubernetes"] = []string{"", "source", "target", "target/kubernetes", "internal/*"}
	rooms["target/kubernetes"] = []string{"", "target", "target/inband", "internal/*"}
}
