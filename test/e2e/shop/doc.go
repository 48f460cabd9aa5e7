// Package shop is the sample deployment of the end-to-end tests: three web
// fronts, a database, and a store with redis, a blob server and some smaller
// jobs, with scripts as job authors really write them.
//
// A front takes orders while its gate is open and writes each to PostgreSQL,
// redis and the blobs. A Writer keeps ordering. One consistent point means:
// the three stores hold the same orders 1 to n, and n is the last order that
// was taken before all gates were closed.
package shop
