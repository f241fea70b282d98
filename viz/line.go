package viz

import "math"

// moments of two rows of numbers.
type moments struct{ n, x, y, xx, xy, yy float64 }

func momentsOf(x, y []float64) moments {
	var m moments
	for i := range x {
		m.n++
		m.x, m.y = m.x+x[i], m.y+y[i]
		m.xx, m.xy, m.yy = m.xx+x[i]*x[i], m.xy+x[i]*y[i], m.yy+y[i]*y[i]
	}
	return m
}

// straight is the line of least squares: where it begins, and what it adds for 1; no numbers where all x are equal.
func straight(x, y []float64) (base, slope float64) {
	m := momentsOf(x, y)
	if d := m.n*m.xx - m.x*m.x; d > 0 {
		slope = (m.n*m.xy - m.x*m.y) / d
		return (m.y - slope*m.x) / m.n, slope
	}
	return math.NaN(), math.NaN()
}

// correlation is Pearson's, 0 where a row has one number only.
func correlation(x, y []float64) float64 {
	m := momentsOf(x, y)
	if d := (m.n*m.xx - m.x*m.x) * (m.n*m.yy - m.y*m.y); d > 0 {
		return (m.n*m.xy - m.x*m.y) / math.Sqrt(d)
	}
	return 0
}
