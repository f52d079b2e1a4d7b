package main

// windowParts is how many parts a window is counted in.
const windowParts = 16

// window counts what happened in the last so many seconds, in parts that are forgotten
// one by one.
type window struct {
	part   uint64 // number of the newest part, counted from 1970
	counts [windowParts]uint64
}

func (w *window) fields() []*uint64 {
	out := []*uint64{&w.part}
	for i := range w.counts {
		out = append(out, &w.counts[i])
	}
	return out
}

// advance forgets what is too old. A window whose length changed begins anew.
func (w *window) advance(now, seconds uint64) {
	part := now / max(1, seconds*second/windowParts)
	if part < w.part || part-w.part >= windowParts {
		*w = window{part: part}
		return
	}
	for ; w.part < part; w.part++ {
		w.counts[(w.part+1)%windowParts] = 0
	}
}

func (w *window) add(now, seconds uint64) {
	w.advance(now, seconds)
	w.counts[w.part%windowParts]++
}

func (w *window) count(now, seconds uint64) (n uint64) {
	w.advance(now, seconds)
	for _, c := range w.counts {
		n += c
	}
	return n
}

// rates are how many registrations began of late, and in a longer time before. They are
// kept in upgrades: counting anew would demand captchas until the longer time is over.
type rates struct{ current, reference window }

// started counts a registration that begins.
func (r *rates) started(d *dynamicCaptcha, now uint64) {
	r.current.add(now, d.Current)
	r.reference.add(now, d.Reference)
}

// high reports whether registrations are more frequent of late than they use to be, by
// more than the threshold.
func (r *rates) high(d *dynamicCaptcha, now uint64) bool {
	current := float64(r.current.count(now, d.Current)) / float64(d.Current)
	reference := float64(r.reference.count(now, d.Reference)) / float64(d.Reference)
	return current > reference*(1+float64(d.Threshold)/100)
}

// captchaRequired decides whether a registration that begins now takes a captcha, and
// counts it.
func (s *store) captchaRequired(now uint64) bool {
	t := s.config.Captcha.Trigger
	if t.Dynamic == nil {
		return t.Static != nil && t.Static.Enabled
	}
	required := s.rates.high(t.Dynamic, now)
	s.rates.started(t.Dynamic, now)
	return required
}
