// Package wire frames and signs Jupyter messages: bytes in, messages out, and back. It opens no sockets.
package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Version is the version of the messaging protocol that the kernel speaks.
const Version = "5.4"

// delimiter stands between the routing identities and the signed part of a message.
var delimiter = []byte("<IDS|MSG>")

// errSignature reports a message whose signature is not that of the key.
var errSignature = errors.New("the signature does not fit")

// A Header says which message it is and who sent it.
type Header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
	Subshell string `json:"subshell_id,omitempty"`
}

// A Message is one Jupyter message. Parent is kept as it came, so that it goes back unchanged.
type Message struct {
	Identities [][]byte
	Header     Header
	Parent     json.RawMessage // {} when there is none
	Metadata   map[string]interface{}
	Content    json.RawMessage
	Buffers    [][]byte
	raw        json.RawMessage // the header as it came
}

// rawHeader is the header as it came, to be the parent of answers.
func (m *Message) rawHeader() json.RawMessage {
	if m.raw == nil {
		return json.RawMessage("{}")
	}
	return m.raw
}

// Parse reads the frames of a message and checks its signature. An empty key checks nothing.
func Parse(frames [][]byte, key []byte) (*Message, error) {
	start := -1
	for i, f := range frames {
		if bytes.Equal(f, delimiter) {
			start = i
			break
		}
	}
	if start < 0 {
		return nil, errors.New("no delimiter among the frames")
	}
	signed := frames[start+1:]
	if len(signed) < 5 {
		return nil, fmt.Errorf("%d frames after the delimiter, at least 5 are wanted", len(signed))
	}
	if len(key) > 0 {
		want, err := hex.DecodeString(string(signed[0]))
		if err != nil || !hmac.Equal(want, sign(key, signed[1:5])) {
			return nil, errSignature
		}
	}
	m := &Message{Identities: frames[:start], Parent: signed[2], Content: signed[4], Buffers: signed[5:], raw: signed[1]}
	for _, part := range []struct {
		name string
		text []byte
		into interface{}
	}{{"header", signed[1], &m.Header}, {"parent header", signed[2], &Header{}}, {"metadata", signed[3], &m.Metadata}, {"content", signed[4], &map[string]json.RawMessage{}}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if m.Header.Type == "" {
		return nil, errors.New("header: no msg_type")
	}
	return m, nil
}

// New makes a message of a type, in answer to a parent, which may be nil.
func New(kind, session string, parent *Message, content interface{}) (*Message, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	m := &Message{
		Header: Header{
			ID: uuid.NewString(), Session: session, Username: "kernel", Date: time.Now().UTC().Format(time.RFC3339Nano), Type: kind, Version: Version,
		},
		Parent: json.RawMessage("{}"), Metadata: map[string]interface{}{}, Content: text,
	}
	if parent != nil {
		m.Identities, m.Parent = parent.Identities, parent.rawHeader()
	}
	return m, nil
}

// Frames writes a message as signed frames.
func (m *Message) Frames(key []byte) ([][]byte, error) {
	header, err := json.Marshal(m.Header)
	if err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(m.Metadata)
	if err != nil {
		return nil, err
	}
	parts := [][]byte{header, m.Parent, metadata, m.Content}
	signature := ""
	if len(key) > 0 {
		signature = hex.EncodeToString(sign(key, parts))
	}
	frames := append([][]byte{}, m.Identities...)
	frames = append(frames, delimiter, []byte(signature))
	frames = append(frames, parts...)
	return append(frames, m.Buffers...), nil
}

func sign(key []byte, parts [][]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
