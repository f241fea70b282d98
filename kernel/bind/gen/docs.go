package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"go/ast"
	"go/printer"
	"go/token"
	"strings"

	"golang.org/x/tools/go/packages"
)

// documentation collects signatures and doc comments of a package by "path.Name" or "path.Type.Method", of fields of our
// own types by "path.Type.Field", and what the package says of itself by its path.
func documentation(p *packages.Package) map[string]string {
	docs := map[string]string{}
	reachable := func(name string) bool { return token.IsExported(name) || p.PkgPath == "builtin" }
	add := func(name string, signature ast.Node, comments ...*ast.CommentGroup) {
		var text bytes.Buffer
		// A node that was parsed can be printed.
		_ = printer.Fprint(&text, p.Fset, signature)
		for _, c := range comments {
			if c.Text() != "" {
				text.WriteString("\n\n" + c.Text())
				break
			}
		}
		docs[p.PkgPath+"."+name] = strings.TrimSpace(text.String())
	}
	for _, file := range p.Syntax {
		if file.Doc.Text() != "" {
			docs[p.PkgPath] = "package " + p.Name + "\n\n" + strings.TrimSpace(file.Doc.Text())
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name, ok := fullName(d, reachable); ok {
					add(name, &ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type}, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if reachable(s.Name.Name) {
							add(s.Name.Name, &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{s}}, s.Doc, d.Doc)
							interfaceMethods(s, add)
							if strings.HasPrefix(p.PkgPath, module) {
								structFields(s, add)
							}
						}
					case *ast.ValueSpec:
						for _, name := range s.Names {
							if reachable(name.Name) {
								add(name.Name, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{name}, Type: s.Type, Values: only(s)}}}, s.Doc, s.Comment, d.Doc)
							}
						}
					}
				}
			}
		}
	}
	return docs
}

// only is the value of a spec with one name: of others it is not plain which is whose.
func only(s *ast.ValueSpec) []ast.Expr {
	if len(s.Names) == 1 && len(s.Values) == 1 {
		if _, literal := s.Values[0].(*ast.BasicLit); literal {
			return s.Values
		}
	}
	return nil
}

func interfaceMethods(s *ast.TypeSpec, add func(string, ast.Node, ...*ast.CommentGroup)) {
	face, ok := s.Type.(*ast.InterfaceType)
	if !ok {
		return
	}
	for _, m := range face.Methods.List {
		if f, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 && m.Names[0].IsExported() {
			add(s.Name.Name+"."+m.Names[0].Name, &ast.FuncDecl{Name: m.Names[0], Type: f}, m.Doc, m.Comment)
		}
	}
}

func structFields(s *ast.TypeSpec, add func(string, ast.Node, ...*ast.CommentGroup)) {
	fields, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		for _, name := range f.Names {
			if name.IsExported() {
				add(s.Name.Name+"."+name.Name, &ast.ValueSpec{Names: []*ast.Ident{name}, Type: f.Type}, f.Doc, f.Comment)
			}
		}
	}
}

// fullName is the name of a function, or of a method with its type, if cells can reach it.
func fullName(d *ast.FuncDecl, reachable func(string) bool) (string, bool) {
	if d.Recv == nil {
		return d.Name.Name, reachable(d.Name.Name)
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	id, ok := t.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name + "." + d.Name.Name, reachable(d.Name.Name) && reachable(id.Name)
}

// packed is documentation as it is embedded.
func packed(docs map[string]string) ([]byte, error) {
	text, err := json.Marshal(docs) // with sorted keys
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
