// Package ui is the orchestrator's pages: HTML rendered here, a stylesheet and
// a small script, all in the binary. It works over lockstep.Service alone.
//
// What a page shows is decided by pure functions from values of the root
// package to small models (Picture, Timeline, History and so on); templates
// only write the models down. A page needs no script to be read or to do
// something. With one, the picture of a run moves: the server folds the run's
// events and sends marks, which are the places of the picture that changed.
//
// Everything that instances, scripts and people typed is untrusted and reaches
// a page only as escaped text. The pages are made for a Content-Security-Policy
// that allows nothing but this server's own files; Policy is that policy.
package ui
