// Package planner turns a deployment and a policy into a plan: everything that
// a run will do, in order, before any of it is done. It is pure: no clock, no
// network, no files; the same deployment gives the same plan, byte for byte,
// in whatever order its source listed it.
//
// Words, beside those of package lockstep: a member is one job on one
// instance, the unit that is locked. The lock order says which members are
// locked before which; its levels are the sets of members that may be locked
// at once, found with Kahn's algorithm. A level without a script of the kind
// leaves no wave. The unlock stage takes the levels in reverse.
//
// A restore matches artifacts to members by slot (group, index, job); each
// artifact needs its place, and each restore script its artifact.
//
// What is wrong but harmless becomes a sentence in Plan.Warnings; what would
// make the run unsafe is refused here, before anything was touched.
package planner
