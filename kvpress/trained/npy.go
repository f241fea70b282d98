package trained

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	npyType  = regexp.MustCompile(`'descr':\s*'<f([48])'`)
	npyOrder = regexp.MustCompile(`'fortran_order':\s*False`)
	npyShape = regexp.MustCompile(`'shape':\s*\(([0-9, ]*)\)`)
)

// readNPY reads an array of numpy's .npy format: little endian floats, row after row.
func readNPY(data []byte) ([]float32, []int, error) {
	if len(data) < 12 || string(data[:6]) != "\x93NUMPY" {
		return nil, nil, errors.New("this is no .npy file")
	}
	start, length := 10, int(binary.LittleEndian.Uint16(data[8:]))
	if data[6] > 1 {
		start, length = 12, int(binary.LittleEndian.Uint32(data[8:]))
	}
	if length > len(data)-start {
		return nil, nil, errors.New("the header is cut off")
	}
	header, body := data[start:start+length], data[start+length:]
	kind, shapeText := npyType.FindSubmatch(header), npyShape.FindSubmatch(header)
	if kind == nil || shapeText == nil || !npyOrder.Match(header) {
		return nil, nil, fmt.Errorf("header %q: little endian floats in C order are wanted", strings.TrimSpace(string(header)))
	}
	size := int(kind[1][0] - '0')
	elements := 1
	var shape []int
	for _, field := range strings.Split(strings.TrimRight(string(shapeText[1]), ", "), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > len(body)/size/elements {
			return nil, nil, fmt.Errorf("shape (%s) does not fit a file of %d bytes of numbers", shapeText[1], len(body))
		}
		shape = append(shape, n)
		elements *= n
	}
	if elements*size != len(body) {
		return nil, nil, fmt.Errorf("shape %v wants %d bytes of numbers, the file has %d", shape, elements*size, len(body))
	}
	x := make([]float32, elements)
	for i := range x {
		if size == 4 {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:]))
		} else {
			x[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:])))
		}
	}
	return x, shape, nil
}
