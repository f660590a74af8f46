package wire

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Greeting is what a service says of itself: capabilities always, refs in
// version 0 only.
type greeting struct {
	version int
	caps    map[string]string
	refs    []Ref
}

// has reports a capability, in version 2 also as a word of a feature list:
// has("fetch", "shallow").
func (g *greeting) has(name string, feature ...string) bool {
	value, ok := g.caps[name]
	if !ok || len(feature) == 0 {
		return ok
	}
	return slices.Contains(strings.Fields(value), feature[0])
}

// readGreeting reads the first words of a session. Refs of version 0 are kept
// when keep says so, so that memory does not grow with refs nobody asked for.
func readGreeting(r io.Reader, keep func(Ref) bool) (*greeting, error) {
	p := newPktReader(r)
	g := &greeting{caps: map[string]string{}}
	kind, line, err := p.line()
	if err != nil {
		return nil, fmt.Errorf("read the server's greeting: %w", noEOF(err))
	}
	if kind == pktFlush {
		return g, nil // receive-pack of an old server on an empty repository
	}
	switch line {
	case "version 2":
		g.version = 2
		return g, readCapabilities(p, g)
	case "version 1":
		if kind, line, err = p.line(); err != nil {
			return nil, noEOF(err)
		}
	}
	return g, readAdvertisement(p, g, kind, line, keep)
}

func readCapabilities(p *pktReader, g *greeting) error {
	for {
		kind, line, err := p.line()
		if err != nil {
			return fmt.Errorf("read capabilities: %w", noEOF(err))
		}
		if kind != pktData {
			return nil
		}
		if err := p.keep(len(line)); err != nil {
			return err
		}
		name, value, _ := strings.Cut(line, "=")
		g.caps[name] = value
	}
}

// readAdvertisement reads "<hash> <ref>NUL<capabilities>" and the refs after
// it (gitprotocol-pack).
func readAdvertisement(p *pktReader, g *greeting, kind pktKind, line string, keep func(Ref) bool) error {
	targets := map[string]string{}
	first := true
	for ; kind == pktData; first = false {
		if first {
			var caps string
			line, caps, _ = strings.Cut(line, "\x00")
			for word := range strings.FieldsSeq(caps) {
				name, value, _ := strings.Cut(word, "=")
				if from, to, ok := strings.Cut(value, ":"); ok && name == "symref" {
					targets[from] = to
					continue
				}
				g.caps[name] = value
			}
		}
		kept := len(g.refs)
		if err := addAdvertised(g, line, targets, keep); err != nil {
			return err
		}
		if len(g.refs) > kept {
			if err := p.keep(perRef + len(line)); err != nil {
				return err
			}
		}
		var err error
		if kind, line, err = p.line(); err != nil {
			return fmt.Errorf("read refs: %w", noEOF(err))
		}
	}
	return nil
}

func addAdvertised(g *greeting, line string, targets map[string]string, keep func(Ref) bool) error {
	hash, name, ok := strings.Cut(line, " ")
	if hash == "shallow" {
		return nil
	}
	if !ok || !isHash(hash) {
		return fmt.Errorf("%w: ref line %q", ErrProtocol, clean([]byte(line)))
	}
	if base, peeled := strings.CutSuffix(name, "^{}"); peeled {
		if n := len(g.refs); n > 0 && g.refs[n-1].Name == base {
			g.refs[n-1].Peeled = hash
		}
		return nil // also the capabilities^{} of an empty repository
	}
	ref := Ref{Name: name, Hash: hash, Target: targets[name]}
	if keep(ref) {
		g.refs = append(g.refs, ref)
	}
	return nil
}

// perRef is what a ref in memory takes beside its text.
const perRef = 128

func isHash(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

// listV2 asks for the refs under the prefixes and nothing else.
func listV2(ctx context.Context, s Session, prefixes []string) ([]Ref, error) {
	var req pktBuffer
	req.printf("command=ls-refs\n")
	req.delim()
	req.printf("peel\n")
	req.printf("symrefs\n")
	for _, prefix := range prefixes {
		req.printf("ref-prefix %s\n", prefix)
	}
	req.flush()
	answer, err := s.Exchange(ctx, req.Bytes())
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	p := newPktReader(answer)
	var refs []Ref
	for {
		kind, line, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("read refs: %w", noEOF(err))
		}
		if kind != pktData {
			return refs, nil
		}
		ref, err := parseListed(line)
		if err != nil {
			return nil, err
		}
		// ref-prefix is an optimisation that a server may ignore.
		if !hasAnyPrefix(ref.Name, prefixes) {
			continue
		}
		if err := p.keep(perRef + len(line)); err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
}

// parseListed reads "<hash> <name> [symref-target:<ref>] [peeled:<hash>]".
func parseListed(line string) (Ref, error) {
	words := strings.Split(line, " ")
	if len(words) < 2 {
		return Ref{}, fmt.Errorf("%w: ref line %q", ErrProtocol, clean([]byte(line)))
	}
	ref := Ref{Hash: words[0], Name: words[1]}
	for _, word := range words[2:] {
		if v, ok := strings.CutPrefix(word, "symref-target:"); ok {
			ref.Target = v
		}
		if v, ok := strings.CutPrefix(word, "peeled:"); ok {
			ref.Peeled = v
		}
	}
	if ref.Hash != "unborn" && !isHash(ref.Hash) || ref.Peeled != "" && !isHash(ref.Peeled) {
		return Ref{}, fmt.Errorf("%w: ref line %q", ErrProtocol, clean([]byte(line)))
	}
	return ref, nil
}

func hasAnyPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
