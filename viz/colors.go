package viz

import (
	"fmt"
	"image/color"
	"math"
)

// viridis runs from dark to light in colours that people who see colours differently tell apart (van der Walt and
// Smith, 2015).
var viridis = []color.RGBA{
	{68, 1, 84, 255},
	{72, 36, 117, 255},
	{65, 68, 135, 255},
	{53, 95, 141, 255},
	{42, 120, 142, 255},
	{33, 145, 140, 255},
	{34, 168, 132, 255},
	{68, 191, 112, 255},
	{122, 209, 81, 255},
	{189, 223, 38, 255},
	{253, 231, 37, 255},
}

// hues tell series apart, in the order of Okabe and Ito, without the ones that vanish on white or on black.
var hues = []color.RGBA{
	{0, 114, 178, 255},
	{230, 159, 0, 255},
	{0, 158, 115, 255},
	{204, 121, 167, 255},
	{213, 94, 0, 255},
	{86, 180, 233, 255},
	{148, 148, 60, 255},
	{120, 120, 120, 255},
}

// ink is for letters and axes: grey that can be read on white and on black. faint is for lines behind the data.
var (
	ink   = color.RGBA{118, 118, 118, 255}
	faint = color.NRGBA{128, 128, 128, 56}
	zoned = color.NRGBA{128, 128, 128, 40}
)

func hue(i int) color.RGBA { return hues[i%len(hues)] }

// css is a colour as style sheets spell it.
func css(c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	if n.A == 255 {
		return fmt.Sprintf("#%02x%02x%02x", n.R, n.G, n.B)
	}
	return fmt.Sprintf("rgba(%d,%d,%d,%.2f)", n.R, n.G, n.B, float64(n.A)/255)
}

// shade is the colour of viridis at a share from 0 to 1.
func shade(share float64) color.RGBA {
	at := math.Min(1, math.Max(0, share)) * float64(len(viridis)-1)
	i := min(int(at), len(viridis)-2)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + (at-float64(i))*(float64(b)-float64(a)))) }
	a, b := viridis[i], viridis[i+1]
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}
