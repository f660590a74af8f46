package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNotOurRef: the server does not hand out that object, because no ref
// points to it or because it does not exist.
var ErrNotOurRef = errors.New("the server does not hand out this commit")

// FetchRequest says what to bring.
type FetchRequest struct {
	Wants   []string // hashes
	Haves   []string // commits that are here with their history, up to Shallow
	Shallow []string // commits that are here without their parents
	Depth   int      // 0: whole history
	Words   *Words   // what the server says meanwhile
}

// FetchResult is the answer. Pack must be read to its end and closed.
type FetchResult struct {
	Shallow, Unshallow []string
	Pack               io.ReadCloser
}

// Fetch asks for objects. A server of version 0 hands out only what a ref
// points to, unless it was configured otherwise: then ErrNotOurRef, before or
// instead of its own words.
func (c *Client) Fetch(ctx context.Context, req FetchRequest) (*FetchResult, error) {
	wanted := map[string]bool{}
	for _, w := range req.Wants {
		wanted[w] = true
	}
	s, g, err := c.reading(ctx, func(r Ref) bool { return wanted[r.Hash] })
	if err != nil {
		return nil, err
	}
	if cuts := g.has("shallow") || g.has("fetch", "shallow"); !cuts {
		req.Depth = 0 // more comes than was asked for, and all of it is right
	}
	var result *FetchResult
	if g.version == 2 {
		result, err = fetchV2(ctx, s, g, req)
	} else {
		result, err = fetchV0(ctx, s, g, req)
	}
	if err != nil {
		s.Close()
		return nil, notOurRef(err)
	}
	result.Pack = &closeBoth{Reader: result.Pack, first: result.Pack, then: s}
	return result, nil
}

// notOurRef recognises the one refusal that has no code of its own. The text
// is upload-pack's since Git 1.5; where it is worded otherwise, the error
// stays a RemoteError.
func notOurRef(err error) error {
	if re, ok := errors.AsType[*RemoteError](err); ok && strings.Contains(re.Message, "not our ref") {
		return fmt.Errorf("%w (%w)", ErrNotOurRef, err)
	}
	return err
}

// fetchV2 sends everything in one request that ends with "done", so the server
// answers with the pack at once and no negotiation is needed.
func fetchV2(ctx context.Context, s Session, g *greeting, req FetchRequest) (*FetchResult, error) {
	var b pktBuffer
	b.printf("command=fetch\n")
	if g.has("agent") {
		b.printf("agent=%s", agent)
	}
	b.delim()
	b.printf("ofs-delta\n")
	for _, w := range req.Wants {
		b.printf("want %s\n", w)
	}
	for _, h := range req.Shallow {
		b.printf("shallow %s\n", h)
	}
	if req.Depth > 0 {
		b.printf("deepen %d\n", req.Depth)
	}
	for _, h := range req.Haves {
		b.printf("have %s\n", h)
	}
	b.printf("done\n")
	b.flush()
	answer, err := s.Exchange(ctx, b.Bytes())
	if err != nil {
		return nil, err
	}
	result, err := readFetchV2(answer, req.Words)
	if err != nil {
		answer.Close()
		return nil, err
	}
	return result, nil
}

// readFetchV2 reads the sections before the pack.
func readFetchV2(answer io.ReadCloser, words *Words) (*FetchResult, error) {
	p := newPktReader(answer)
	result := &FetchResult{}
	for {
		kind, section, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", noEOF(err))
		}
		if kind != pktData {
			return nil, fmt.Errorf("%w: answer without a pack", ErrProtocol)
		}
		if section == "packfile" {
			result.Pack = &readCloser{&demux{p: p, words: words}, answer}
			return result, nil
		}
		for {
			kind, line, err := p.line()
			if err != nil {
				return nil, fmt.Errorf("read answer: %w", noEOF(err))
			}
			if kind != pktData {
				break
			}
			if section == "shallow-info" {
				if err := result.addShallow(p, line); err != nil {
					return nil, err
				}
			}
		}
	}
}

func (r *FetchResult) addShallow(p *pktReader, line string) error {
	if h, ok := strings.CutPrefix(line, "shallow "); ok && isHash(h) {
		r.Shallow = append(r.Shallow, h)
	}
	if h, ok := strings.CutPrefix(line, "unshallow "); ok && isHash(h) {
		r.Unshallow = append(r.Unshallow, h)
	}
	return p.keep(perRef)
}

// fetchV0 does the same in the older protocol. Nothing is negotiated, yet some
// hosts, such as Azure DevOps, serve only those who know multi_ack.
func fetchV0(ctx context.Context, s Session, g *greeting, req FetchRequest) (*FetchResult, error) {
	if err := checkWants(g, req.Wants); err != nil {
		return nil, err
	}
	caps := "ofs-delta agent=" + agent
	if g.has("side-band-64k") {
		caps += " side-band-64k"
	}
	for _, known := range []string{"multi_ack_detailed", "multi_ack"} {
		if g.has(known) {
			caps += " " + known
			break
		}
	}
	if req.Depth > 0 || len(req.Shallow) > 0 {
		caps += " shallow"
	}
	var b pktBuffer
	for i, w := range req.Wants {
		if i == 0 {
			b.printf("want %s %s\n", w, caps)
			continue
		}
		b.printf("want %s\n", w)
	}
	for _, h := range req.Shallow {
		b.printf("shallow %s\n", h)
	}
	if req.Depth > 0 {
		b.printf("deepen %d\n", req.Depth)
	}
	b.flush()
	for _, h := range req.Haves {
		b.printf("have %s\n", h)
	}
	b.printf("done\n")
	answer, err := s.Exchange(ctx, b.Bytes())
	if err != nil {
		return nil, err
	}
	result, err := readFetchV0(answer, g, req)
	if err != nil {
		answer.Close()
		return nil, err
	}
	return result, nil
}

func checkWants(g *greeting, wants []string) error {
	if g.has("allow-tip-sha1-in-want") || g.has("allow-reachable-sha1-in-want") {
		return nil
	}
	advertised := map[string]bool{}
	for _, r := range g.refs {
		advertised[r.Hash] = true
	}
	for _, w := range wants {
		if !advertised[w] {
			return fmt.Errorf("%s: %w: no ref points to it", w, ErrNotOurRef)
		}
	}
	return nil
}

func readFetchV0(answer io.ReadCloser, g *greeting, req FetchRequest) (*FetchResult, error) {
	p := newPktReader(answer)
	result := &FetchResult{}
	for req.Depth > 0 {
		kind, line, err := p.line()
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", noEOF(err))
		}
		if kind == pktFlush {
			break
		}
		if err := result.addShallow(p, line); err != nil {
			return nil, err
		}
	}
	if err := skipAcknowledgements(p); err != nil {
		return nil, err
	}
	if g.has("side-band-64k") {
		result.Pack = &readCloser{&demux{p: p, words: req.Words}, answer}
	} else {
		result.Pack = &readCloser{p.r, answer}
	}
	return result, nil
}

// skipAcknowledgements skips the NAK, or the ACK of commits that both sides
// have: with multi_ack of each and once more at the end, without it of one, but
// one more for each that is an ancestor of the first.
func skipAcknowledgements(p *pktReader) error {
	for first := true; ; first = false {
		head, err := p.r.Peek(8)
		if err != nil {
			return fmt.Errorf("read answer: %w", noEOF(err))
		}
		if !first && string(head[4:]) != "ACK " && string(head[:]) != "0008NAK\n" {
			return nil
		}
		kind, line, err := p.line()
		if err != nil {
			return fmt.Errorf("read answer: %w", noEOF(err))
		}
		if kind != pktData || line != "NAK" && !strings.HasPrefix(line, "ACK ") {
			return fmt.Errorf("%w: expected an acknowledgement, got %q", ErrProtocol, clean([]byte(line)))
		}
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

type closeBoth struct {
	io.Reader
	first, then io.Closer
}

func (c *closeBoth) Close() error { return errors.Join(c.first.Close(), c.then.Close()) }
