package wire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func message(t testing.TB) *Message {
	t.Helper()
	parent := &Message{Identities: [][]byte{{0, 1, 2}}, raw: []byte(`{"msg_id":"a","msg_type":"execute_request"}`)}
	m, err := New("execute_reply", "session", parent, map[string]interface{}{"status": "ok", "text": "<é>"})
	if err != nil {
		t.Fatal(err)
	}
	m.Buffers = [][]byte{{1, 2, 3}, {}}
	return m
}

func TestRoundTrip(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("secret")} {
		m := message(t)
		frames, err := m.Frames(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(frames, key)
		if err != nil {
			t.Fatal(err)
		}
		if back.Header != m.Header || !bytes.Equal(back.Content, m.Content) || !bytes.Equal(back.Parent, m.Parent) ||
			!reflect.DeepEqual(back.Identities, m.Identities) || !reflect.DeepEqual(back.Buffers, m.Buffers) {
			t.Errorf("key %q: a message came back changed: %+v", key, back)
		}
	}
}

func TestBadMessagesAreRefused(t *testing.T) {
	good, err := message(t).Frames([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(i int, to string) [][]byte {
		frames := append([][]byte{}, good...)
		frames[i] = []byte(to)
		return frames
	}
	if _, err := Parse(good, []byte("other")); !errors.Is(err, errSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Parse(changed(6, `{"status":"bad"}`), []byte("secret")); !errors.Is(err, errSignature) {
		t.Errorf("a changed content: %v", err)
	}
	for name, frames := range map[string][][]byte{
		"nothing": nil, "no delimiter": good[:1], "too short": good[:5], "signature": changed(2, "zz"), "header": changed(3, "[]"), "no type": changed(3, "{}"), "content": changed(6, "x"),
	} {
		key := []byte("secret")
		if name != "signature" {
			key = nil
		}
		if _, err := Parse(frames, key); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := message(f).Frames(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Join(good, []byte("|")), []byte("|"))
	f.Fuzz(func(t *testing.T, data, separator []byte) {
		if len(separator) == 0 {
			return
		}
		frames := bytes.Split(data, separator)
		m, err := Parse(frames, nil)
		if err != nil {
			return
		}
		again, err := m.Frames([]byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again, []byte("k")); err != nil {
			t.Errorf("a parsed message does not parse again: %v", err)
		}
	})
}
