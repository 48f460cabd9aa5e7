//go:build !faultpoints

package launcher

// WorthLending is from how many bytes on a folder is worth the helper: below it takes
// longer to lend than it saves. docs/performance.md has the figures.
const WorthLending = 32 << 20
