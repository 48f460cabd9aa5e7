package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"strings"
	"sync"

	"lockstep/target"
)

// podFiles are the files of an instance that is a pod.
type podFiles struct {
	ground *pods
	pod    string
	root   string // the instance's folder in it
	shell  *shell
}

// enter begins a shell in a pod, which is asked again and again.
func (g *pods) enter(pod string) (*podFiles, error) {
	root := path.Join(g.dir, "instances", pod)
	s, err := newShell(exec.Command("kubectl", g.args("exec", "--stdin", pod, "--", "sh")...))
	if err != nil {
		return nil, fmt.Errorf("begin a shell in pod %s: %w", pod, err)
	}
	return &podFiles{ground: g, pod: pod, root: root, shell: s}, nil
}

// do runs a line of shell whose arguments are names of the instance's, or texts.
func (p *podFiles) do(line string, args ...string) error {
	quoted := make([]any, len(args))
	for i, a := range args {
		quoted[i] = target.Quote(a)
	}
	status, err := p.shell.run(fmt.Sprintf("cd %s && ", p.root) + fmt.Sprintf(line, quoted...))
	if err == nil && status != "0" {
		err = fmt.Errorf("in pod %s: %s: exit status %s", p.pod, fmt.Sprintf(line, quoted...), status)
	}
	return err
}

func (p *podFiles) has(name string) bool {
	return p.do("{ [ -e ./%[1]s ] || [ -L ./%[1]s ]; }", name) == nil
}
func (p *podFiles) makeDir(name string) error { return p.do("mkdir -p ./%s", name) }

func (p *podFiles) write(name string, content []byte, mode fs.FileMode) error {
	// "%%" here is a "%" for the shell's printf.
	return p.do("printf %%s %[2]s >./%[1]s && chmod "+fmt.Sprintf("%o", mode)+" ./%[1]s", name, string(content))
}

func (p *podFiles) extend(name, text string) error {
	return p.do("[ -f ./%[1]s ] && printf %%s %[2]s >>./%[1]s", name, text)
}
func (p *podFiles) link(name, second string) error { return p.do("ln ./%s ./%s", name, second) }
func (p *podFiles) symlink(leadsTo, name string) error {
	return p.do("ln -s -- %s ./%s", leadsTo, name)
}
func (p *podFiles) move(name, to string) error { return p.do("mv -fT ./%s ./%s", name, to) }
func (p *podFiles) remove(name string) error   { return p.do("rm -rf ./%s", name) }

func (p *podFiles) read(name string) ([]byte, error) {
	return p.output("cat", path.Join(p.root, name))
}

func (p *podFiles) list(name string) ([]string, error) {
	out, err := p.output("sh", "-c", `if [ -d "$0" ]; then ls -A "$0"; fi`, path.Join(p.root, name))
	return strings.Fields(string(out)), err
}

// tree reads a tar. What a hard link is added to meanwhile, as by a backup script, has
// not changed.
func (p *podFiles) tree(name string) (tree, error) {
	dir, base := path.Split(path.Join(p.root, name))
	out, err := p.output("sh", "-c", `tar --format=pax -C "$0" -c "$1" || [ $? = 1 ]`, dir, base)
	if err != nil {
		return nil, fmt.Errorf("look at %s in pod %s: %w", name, p.pod, err)
	}
	return treeOfTar(bytes.NewReader(out), base)
}

// output runs a command of its own in the pod.
func (p *podFiles) output(argv ...string) ([]byte, error) {
	out, err := exec.Command("kubectl", p.ground.args(append([]string{"exec", p.pod, "--"}, argv...)...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

func (p *podFiles) removal(names ...string) string {
	line := "kubectl"
	for _, arg := range p.ground.args("exec", p.pod, "--", "rm", "-rf") {
		line += " " + shellWord(arg)
	}
	for _, n := range names {
		line += " " + shellWord(path.Join(p.root, n))
	}
	return line
}

// shell is one that runs what it is told, one line after the other.
type shell struct {
	cmd  *exec.Cmd
	errs bytes.Buffer // what it complained of; to be read after its end

	mu    sync.Mutex
	in    io.WriteCloser
	out   *bufio.Reader
	ended error // why it does not run any more
}

// newShell starts a command that is a shell.
func newShell(c *exec.Cmd) (*shell, error) {
	s := &shell{cmd: c}
	c.Stderr = &s.errs
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.in, s.out = in, bufio.NewReader(out)
	return s, c.Start()
}

// run runs a line and gives its exit status. The line's own output is nobody's.
func (s *shell) run(line string) (status string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return "", s.ended
	}
	_, err = io.WriteString(s.in, "{ "+line+"\n} >/dev/null 2>&1 </dev/null; echo $?\n")
	if err == nil {
		status, err = s.out.ReadString('\n')
	}
	if err != nil {
		_ = s.in.Close()
		_ = s.cmd.Wait()
		s.ended = fmt.Errorf("a shell that looks after an instance has ended: %w: %s", err, strings.TrimSpace(s.errs.String()))
	}
	return strings.TrimSpace(status), s.ended
}

// err is why it does not run any more, where nobody closed it.
func (s *shell) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// close ends it.
func (s *shell) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = errors.New("the shell is closed")
		_ = s.in.Close()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}
