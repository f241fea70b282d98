// Package display is what notebook cells call to show things. Its names and conventions are those of the
// gophernotes kernel, so that notebooks and libraries made for it work unchanged: a value is shown by what its
// methods return (HTML, SVG, PNG, Markdown, ... or SimpleRender), and functions such as HTML make values to show.
package display

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"strings"
)

// Names of formats.
const (
	MIMETypeHTML       = "text/html"
	MIMETypeJavaScript = "application/javascript"
	MIMETypeJPEG       = "image/jpeg"
	MIMETypeJSON       = "application/json"
	MIMETypeLatex      = "text/latex"
	MIMETypeMarkdown   = "text/markdown"
	MIMETypePNG        = "image/png"
	MIMETypePDF        = "application/pdf"
	MIMETypeSVG        = "image/svg+xml"
	MIMETypeText       = "text/plain"
)

// A MIMEMap holds one thing in several formats, by format name.
type MIMEMap = map[string]interface{}

// Data is a thing to show: the same content in several formats, and notes for the front end.
type Data = struct {
	Data      MIMEMap
	Metadata  MIMEMap
	Transient MIMEMap
}

// The interfaces by which values say how they are shown. They are aliases: a library need not import this package.
type (
	Renderer       = interface{ Render() Data }
	SimpleRenderer = interface{ SimpleRender() MIMEMap }
	HTMLer         = interface{ HTML() string }
	JavaScripter   = interface{ JavaScript() string }
	JPEGer         = interface{ JPEG() []byte }
	JSONer         = interface{ JSON() map[string]interface{} }
	Latexer        = interface{ Latex() string }
	Markdowner     = interface{ Markdown() string }
	PNGer          = interface{ PNG() []byte }
	PDFer          = interface{ PDF() []byte }
	SVGer          = interface{ SVG() string }
)

// Render collects what a value's methods say; ok is false when it has none of them. A value that gives a whole set of
// formats (Render, SimpleRender) is shown by these alone.
func Render(value interface{}) (d Data, ok bool) {
	switch v := value.(type) {
	case Data:
		return v, true
	case Renderer:
		d = v.Render()
	case SimpleRenderer:
		d.Data = v.SimpleRender()
	default:
		d = renderMethods(value)
	}
	if len(d.Data) == 0 {
		return d, false
	}
	if d.Data[MIMETypeText] == nil {
		d.Data[MIMETypeText] = fmt.Sprint(value)
	}
	return d, true
}

// renderMethods asks for every format by itself; what comes back empty is left out.
func renderMethods(value interface{}) Data {
	d := Data{Data: MIMEMap{}}
	text := func(format, s string) {
		if s != "" {
			d.Data[format] = s
		}
	}
	binary := func(format string, b []byte) {
		if len(b) > 0 {
			d.Data[format] = b
		}
	}
	if v, ok := value.(HTMLer); ok {
		text(MIMETypeHTML, v.HTML())
	}
	if v, ok := value.(SVGer); ok {
		text(MIMETypeSVG, v.SVG())
	}
	if v, ok := value.(PNGer); ok {
		binary(MIMETypePNG, v.PNG())
	}
	if v, ok := value.(JPEGer); ok {
		binary(MIMETypeJPEG, v.JPEG())
	}
	if v, ok := value.(Markdowner); ok {
		text(MIMETypeMarkdown, v.Markdown())
	}
	if v, ok := value.(Latexer); ok {
		text(MIMETypeLatex, v.Latex())
	}
	if v, ok := value.(JavaScripter); ok {
		text(MIMETypeJavaScript, v.JavaScript())
	}
	if v, ok := value.(PDFer); ok {
		binary(MIMETypePDF, v.PDF())
	}
	if v, ok := value.(JSONer); ok {
		if m := v.JSON(); m != nil {
			d.Data[MIMETypeJSON] = m
		}
	}
	if v, ok := value.(image.Image); ok {
		var b bytes.Buffer
		if err := png.Encode(&b, v); err == nil {
			binary(MIMETypePNG, b.Bytes())
			text(MIMETypeText, fmt.Sprintf("image of %d x %d", v.Bounds().Dx(), v.Bounds().Dy()))
		}
	}
	return d
}

// MakeData makes a thing to show in one format.
func MakeData(format string, content interface{}) Data {
	return MakeData3(format, fmt.Sprint(content), content)
}

// MakeData3 is MakeData with a text for places that show nothing else.
func MakeData3(format, text string, content interface{}) Data {
	return Data{Data: MIMEMap{MIMETypeText: text, format: content}}
}

// MIME makes a thing to show from formats and notes.
func MIME(data, metadata MIMEMap) Data { return Data{Data: data, Metadata: metadata} }

// HTML shows hypertext.
func HTML(s string) Data { return MakeData(MIMETypeHTML, s) }

// JavaScript runs a script in the page.
func JavaScript(s string) Data { return MakeData(MIMETypeJavaScript, s) }

// Markdown shows formatted text.
func Markdown(s string) Data { return MakeData(MIMETypeMarkdown, s) }

// SVG shows a drawing.
func SVG(s string) Data { return MakeData3(MIMETypeSVG, "drawing", s) }

// JPEG shows a picture.
func JPEG(b []byte) Data { return MakeData3(MIMETypeJPEG, "picture", b) }

// PNG shows a picture.
func PNG(b []byte) Data { return MakeData3(MIMETypePNG, "picture", b) }

// PDF shows a document.
func PDF(b []byte) Data { return MakeData3(MIMETypePDF, "document", b) }

// JSON shows a tree of values.
func JSON(m map[string]interface{}) Data { return MakeData(MIMETypeJSON, m) }

// Latex shows a formula in the line.
func Latex(s string) Data { return MakeData3(MIMETypeLatex, s, "$"+strings.Trim(s, "$")+"$") }

// Math shows a formula on a line of its own.
func Math(s string) Data { return MakeData3(MIMETypeLatex, s, "$$"+strings.Trim(s, "$")+"$$") }

// Image shows a picture.
func Image(i image.Image) Data { return Auto(i) }

// File shows a file's content.
func File(format, path string) (Data, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Data{}, err
	}
	return Any(format, b), nil
}

// Auto shows a value as it wants to be shown, bytes by what they look like, and anything else as text.
func Auto(value interface{}) Data { return Any("", value) }

// Any is Auto with a format given for strings and bytes. A reader that fails is shown by its error.
func Any(format string, value interface{}) Data {
	if d, ok := Render(value); ok {
		return d
	}
	switch v := value.(type) {
	case string:
		if format != "" {
			return MakeData(format, v)
		}
	case []byte:
		if format == "" {
			format = http.DetectContentType(v)
		}
		return MakeData3(format, fmt.Sprintf("%d bytes", len(v)), v)
	case io.Reader:
		b, err := io.ReadAll(v)
		if err != nil {
			return Value(fmt.Errorf("reading a %T to show it: %w", v, err))
		}
		return Any(format, b)
	}
	return Value(value)
}
