package kubernetes

import (
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds one answer of the API, in bytes: a page of pods whose
// annotations are as large as they may be.
const maxAnswer = 96 << 20

// bounded is a transport whose answers end with an error where they are too long.
func bounded(rt http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := rt.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		answer.Body = &limited{answer.Body, maxAnswer}
		return answer, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
