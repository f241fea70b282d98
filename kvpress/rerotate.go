package kvpress

// Rerotate moves the pairs that another press keeps together: key i of those kept is rotated to position i, as if
// the text had been that short, and questions follow right behind. It needs a press whose heads keep the same number.
type Rerotate struct {
	Press Press
}

func init() { Register(Method{Name: "rerotate", Press: Rerotate{}}) }

// Name spells the press, such as "rerotate(knorm:0.5)".
func (p Rerotate) Name() string { return Spell("rerotate", p) }

// Plan is the inner plan with Rerotate set.
func (p Rerotate) Plan(l *Layer) (Plan, error) {
	plan, err := planOf(p.Press, l)
	if err != nil {
		return Plan{}, err
	}
	plan.Rerotate = true
	return plan, l.at("rerotate", plan.checkRotation(l))
}
