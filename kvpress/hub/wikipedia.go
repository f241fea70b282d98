package hub

import (
	"context"
	"crypto/sha256"
	_ "embed" // the article
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An Article is plain text about something.
type Article struct {
	Title    string `json:"title"`
	Text     string `json:"text"`
	Source   string `json:"source"`   // where it comes from
	Revision int    `json:"revision"` // of Wikipedia; 0 for others
}

// A Question is about an article, with a word of its answer.
type Question struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

//go:embed article.txt
var fallback string

//go:embed questions.json
var fallbackQuestions []byte

// FallbackArticle is an article written for this project, about a place that does not exist: no model can know the
// answers to questions about it.
func FallbackArticle() Article {
	return Article{Title: "Harrowgate Tidal Observatory", Text: strings.TrimSuffix(fallback, "\n"), Source: "written for kvnotes"}
}

// FallbackQuestions are questions about FallbackArticle.
func FallbackQuestions() []Question {
	var q []Question
	if err := json.Unmarshal(fallbackQuestions, &q); err != nil {
		panic("hub: the embedded questions are damaged: " + err.Error()) // a broken build
	}
	return q
}

const (
	// wikipedia is the default of KVNOTES_WIKIPEDIA.
	wikipedia = "https://en.wikipedia.org/w/api.php"
	userAgent = "kvnotes/0.1 (https://github.com/kvnotes/kvnotes; notebooks about key-value caches)"
	// patience is how long a request may take, all in all.
	patience = 20 * time.Second
	// longestPage is how many bytes of an answer are read.
	longestPage = 16 << 20
)

// FetchArticle fetches the plain text of an article of the English Wikipedia through its API, and remembers it on disk. The
// address of another wiki's API may be set as KVNOTES_WIKIPEDIA.
func FetchArticle(ctx context.Context, title string) (Article, error) {
	endpoint := os.Getenv("KVNOTES_WIKIPEDIA")
	if endpoint == "" {
		endpoint = wikipedia
	}
	cache, err := CacheFolder()
	if err != nil {
		return Article{}, err
	}
	sum := sha256.Sum256([]byte(endpoint + "\n" + title))
	file := filepath.Join(cache, "articles", hex.EncodeToString(sum[:8])+".json")
	var a Article
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &a) == nil && a.Text != "" {
		return a, nil
	}
	a, err = fetchArticle(ctx, endpoint, title)
	if err != nil {
		return Article{}, fmt.Errorf("article %q: %w", title, err)
	}
	// An article that cannot be remembered is fetched again next time.
	_ = remember(file, a)
	return a, nil
}

func remember(file string, a Article) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return replace(file, text)
}

func fetchArticle(ctx context.Context, endpoint, title string) (Article, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	query := url.Values{
		"action": {"query"}, "prop": {"extracts|revisions|pageprops"}, "explaintext": {"1"}, "exsectionformat": {"plain"}, "rvprop": {"ids"},
		"redirects": {"1"}, "format": {"json"}, "formatversion": {"2"}, "titles": {title},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"?"+query.Encode(), nil)
	if err != nil {
		return Article{}, err
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Article{}, fmt.Errorf("no answer: %w: is there a network? hub.FallbackArticle() needs none", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusTooManyRequests {
		return Article{}, fmt.Errorf("the server asks to slow down (retry after %q seconds)", response.Header.Get("Retry-After"))
	}
	if response.StatusCode != http.StatusOK {
		return Article{}, fmt.Errorf("the server answers %s", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, longestPage+1))
	if err != nil {
		return Article{}, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(text) > longestPage {
		return Article{}, fmt.Errorf("the answer is longer than %d bytes", longestPage)
	}
	return readAnswer(text)
}

// readAnswer takes the article out of an answer of the API.
func readAnswer(text []byte) (Article, error) {
	var answer struct {
		Error *struct{ Info string } `json:"error"`
		Query struct {
			Pages []struct {
				Title     string
				Extract   string
				Missing   bool
				Invalid   bool
				Revisions []struct {
					ID int `json:"revid"`
				}
				Props map[string]json.RawMessage `json:"pageprops"`
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return Article{}, fmt.Errorf("the answer is not what the API gives: %w", err)
	}
	if answer.Error != nil {
		return Article{}, errors.New(answer.Error.Info)
	}
	if len(answer.Query.Pages) != 1 {
		return Article{}, fmt.Errorf("the answer holds %d pages, one was asked for", len(answer.Query.Pages))
	}
	p := answer.Query.Pages[0]
	switch {
	case p.Missing || p.Invalid:
		return Article{}, errors.New("there is no such article: check the spelling")
	case p.Props["disambiguation"] != nil:
		return Article{}, errors.New("this is a list of articles with similar names: name one of them")
	case strings.TrimSpace(p.Extract) == "":
		return Article{}, errors.New("the article has no text")
	}
	a := Article{Title: p.Title, Text: strings.TrimSpace(p.Extract), Source: "Wikipedia, CC BY-SA"}
	if len(p.Revisions) > 0 {
		a.Revision = p.Revisions[0].ID
	}
	return a, nil
}
