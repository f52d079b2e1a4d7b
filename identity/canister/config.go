package main

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"portico/identity/stable"
	"portico/lightclient/candid/marshal"
	"portico/lightclient/principal"
)

// initArgs are what the canister can be installed and upgraded with. A field that is
// left away stays as it was.
type initArgs struct {
	Range           *numberRange    `candid:"assigned_user_number_range"`
	Archive         *archiveConfig  `candid:"archive_config"`
	CreationCost    *uint64         `candid:"canister_creation_cycles_cost"`
	RateLimit       *rateLimit      `candid:"register_rate_limit"`
	Captcha         *captchaConfig  `candid:"captcha_config"`
	RelatedOrigins  *[]string       `candid:"related_origins"`
	NewFlowOrigins  *[]string       `candid:"new_flow_origins"`
	OpenID          *[]openIDConfig `candid:"openid_configs"`
	DappsExplorer   *bool           `candid:"enable_dapps_explorer"`
	Production      *bool           `candid:"is_production"`
	DummyAuth       **dummyAuth     `candid:"dummy_auth"`
	BackendCanister *principal.ID   `candid:"backend_canister_id"`
	BackendOrigin   *string         `candid:"backend_origin"`
}

type (
	numberRange struct {
		From uint64 `candid:"0"`
		To   uint64 `candid:"1"` // the first that is not in it
	}

	archiveConfig struct {
		ModuleHash  []byte `candid:"module_hash"`
		BufferLimit uint64 `candid:"entries_buffer_limit"`
		FetchLimit  uint16 `candid:"entries_fetch_limit"`
		Interval    uint64 `candid:"polling_interval_ns"`
	}

	rateLimit struct {
		TimePerToken uint64 `candid:"time_per_token_ns"`
		MaxTokens    uint64 `candid:"max_tokens"`
	}

	captchaConfig struct {
		MaxUnsolved uint64         `candid:"max_unsolved_captchas"`
		Trigger     captchaTrigger `candid:"captcha_trigger"`
	}

	captchaTrigger struct {
		Dynamic *dynamicCaptcha `candid:"Dynamic,variant"`
		Static  *staticCaptcha  `candid:"Static,variant"`
	}

	dynamicCaptcha struct {
		Threshold uint16 `candid:"threshold_pct"`
		Current   uint64 `candid:"current_rate_sampling_interval_s"`
		Reference uint64 `candid:"reference_rate_sampling_interval_s"`
	}

	staticCaptcha struct {
		Enabled  bool `candid:"CaptchaEnabled,variant"`
		Disabled bool `candid:"CaptchaDisabled,variant"`
	}

	openIDConfig struct {
		Name string `candid:"name"`
	}

	dummyAuth struct {
		Prompt bool `candid:"prompt_for_index"`
	}

	archiveInfo struct {
		Canister *principal.ID  `candid:"archive_canister"`
		Config   *archiveConfig `candid:"archive_config"`
	}

	stats struct {
		Registered   uint64             `candid:"users_registered"`
		Layout       uint8              `candid:"storage_layout_version"`
		Range        numberRange        `candid:"assigned_user_number_range"`
		Archive      archiveInfo        `candid:"archive_info"`
		CreationCost uint64             `candid:"canister_creation_cycles_cost"`
		Aggregations []eventAggregation `candid:"event_aggregations"`
	}

	eventAggregation struct {
		Name    string        `candid:"0"`
		Weights []eventWeight `candid:"1"`
	}

	eventWeight struct {
		Name   string `candid:"0"`
		Weight uint64 `candid:"1"`
	}
)

// What holds for a new canister.
const (
	firstNumber        = 10_000
	defaultAnchors     = 3_000_000
	defaultTokenTime   = 10 * second
	defaultTokens      = 20_000
	defaultMaxUnsolved = 500
	maxUnsolved        = 10_000
	maxSampling        = 366 * 24 * 60 * 60 // seconds
	maxOrigins         = 100
	maxOriginBytes     = 255
	// maxAnchors leaves room for the index and the accounts.
	maxAnchors = stable.MaxChunks * (stable.ChunkBytes / slotBytes) * 3 / 4
)

func defaultConfig() initArgs {
	cost, none := uint64(0), []string{}
	return initArgs{
		Range: &numberRange{firstNumber, firstNumber + defaultAnchors}, CreationCost: &cost,
		RateLimit:      &rateLimit{defaultTokenTime, defaultTokens},
		Captcha:        &captchaConfig{defaultMaxUnsolved, captchaTrigger{Static: &staticCaptcha{Disabled: true}}},
		RelatedOrigins: &none, NewFlowOrigins: &none,
	}
}

// numbers is the range of anchor numbers.
func (s *store) numbers() (lo, hi uint64) { return s.config.Range.From, s.config.Range.To }

// backend is the canister that has the identities: this one, unless it is to serve the
// pages of another one alone.
func (s *store) backend() principal.ID {
	if b := s.config.BackendCanister; b != nil {
		return *b
	}
	return s.self
}

// elsewhere is the refusal of a canister that serves nothing but pages.
func (s *store) elsewhere() error {
	if b := s.backend(); b != s.self {
		return fmt.Errorf("this canister only serves pages: the identities are at %s", b)
	}
	return nil
}

// configure takes over what is set in args and stores the whole.
func (s *store) configure(args *initArgs) error {
	if err := s.checkConfig(args); err != nil {
		return err
	}
	c := &s.config
	take(&c.Range, args.Range)
	take(&c.Archive, args.Archive)
	take(&c.CreationCost, args.CreationCost)
	take(&c.RateLimit, args.RateLimit)
	take(&c.Captcha, args.Captcha)
	take(&c.RelatedOrigins, args.RelatedOrigins)
	take(&c.NewFlowOrigins, args.NewFlowOrigins)
	take(&c.DappsExplorer, args.DappsExplorer)
	take(&c.Production, args.Production)
	take(&c.DummyAuth, args.DummyAuth)
	take(&c.BackendCanister, args.BackendCanister)
	take(&c.BackendOrigin, args.BackendOrigin)
	return s.storeConfig()
}

// storeConfig stores the configuration and what is known of the archive.
func (s *store) storeConfig() error {
	b, err := marshal.Encode(s.config, &s.archive)
	if err != nil {
		return err
	}
	return s.regions.SetConfig(b)
}

func take[T any](field **T, v *T) {
	if v != nil {
		*field = v
	}
}

func (s *store) checkConfig(args *initArgs) error {
	if r := args.Range; r != nil {
		if r.From > r.To || r.To-r.From > maxAnchors {
			return fmt.Errorf("the range of anchor numbers from %d to %d is not one of at most %d", r.From, r.To, maxAnchors)
		}
		if lo, _ := s.numbers(); s.anchors > 0 && (r.From != lo || r.To < lo+s.anchors) {
			return fmt.Errorf("anchors %d to %d are there already: the range must begin with %d and hold them", lo, lo+s.anchors-1, lo)
		}
	}
	if l := args.RateLimit; l != nil && l.TimePerToken == 0 {
		return errors.New("the rate limit's time per token is zero")
	}
	if a := args.Archive; a != nil {
		switch {
		case len(a.ModuleHash) != sha256.Size:
			return fmt.Errorf("the archive's module hash has %d bytes, not %d", len(a.ModuleHash), sha256.Size)
		case a.BufferLimit == 0 || a.BufferLimit > maxBuffered:
			return fmt.Errorf("the archive's buffer limit is %d, not from 1 to %d", a.BufferLimit, maxBuffered)
		case a.FetchLimit == 0:
			return errors.New("the archive's fetch limit is zero")
		case a.Interval < second:
			return errors.New("the archive's polling interval is below a second")
		}
	}
	if c := args.Captcha; c != nil && c.MaxUnsolved > maxUnsolved {
		return fmt.Errorf("at most %d captchas may be unsolved, not %d", maxUnsolved, c.MaxUnsolved)
	}
	if c := args.Captcha; c != nil && c.Trigger.Dynamic != nil {
		if d := c.Trigger.Dynamic; d.Current == 0 || d.Reference < d.Current || d.Reference > maxSampling {
			return fmt.Errorf("captchas compare the last %d seconds with the last %d: want a time and a longer one, of %d at most", d.Current, d.Reference, maxSampling)
		}
	}
	if args.OpenID != nil && len(*args.OpenID) > 0 {
		return errors.New("log-in with OpenID is not built: leave openid_configs away")
	}
	for _, list := range []*[]string{args.RelatedOrigins, args.NewFlowOrigins} {
		if list == nil {
			continue
		}
		if len(*list) > maxOrigins {
			return fmt.Errorf("a list of origins has at most %d", maxOrigins)
		}
		for _, o := range *list {
			if len(o) > maxOriginBytes {
				return fmt.Errorf("an origin has at most %d bytes", maxOriginBytes)
			}
		}
	}
	return nil
}

func (s *store) loadConfig() error {
	b, err := s.regions.Config()
	if err != nil {
		return err
	}
	var kept *archive
	if err := marshal.Decode(b, &s.config, &kept); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	if kept != nil {
		s.archive = *kept
	}
	if s.config.Range == nil || s.config.RateLimit == nil || s.config.Captcha == nil || s.config.CreationCost == nil || s.config.RelatedOrigins == nil {
		return errors.New("the configuration is incomplete")
	}
	return nil
}

func (s *store) stats() stats {
	return stats{
		Registered: s.anchors, Layout: formatVersion, Range: *s.config.Range, CreationCost: *s.config.CreationCost,
		Archive: archiveInfo{Canister: s.archive.Canister, Config: s.config.Archive},
	}
}
