package aws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// authorizationData is a registry password as ECR answers it.
type authorizationData struct {
	AuthorizationToken string  `json:"authorizationToken"`
	ExpiresAt          float64 `json:"expiresAt"`
	ProxyEndpoint      string  `json:"proxyEndpoint,omitempty"`
}

// issue makes a password that opens the registry for its life.
func (f *fake) issue() authorizationData {
	life := f.current().TokenLife.Duration
	password := base64.StdEncoding.EncodeToString([]byte("devregistry password " + random(300)))
	expires := f.now().Add(life)
	f.options.Gate.Issue("AWS", password, life, nil)
	return authorizationData{
		AuthorizationToken: base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
		ExpiresAt:          epoch(expires),
	}
}

// epoch is how the JSON protocol writes times: seconds with a fraction.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (f *fake) authorizationToken(c call) (any, error) {
	account := accountOf(c.caller.arn)
	if err := f.authorize(c, account, "*"); err != nil {
		return nil, err
	}
	domain := "amazonaws.com"
	if partitionOf(c.caller.arn) == "aws-cn" {
		domain = "amazonaws.com.cn"
	}
	data := f.issue()
	data.ProxyEndpoint = fmt.Sprintf("https://%s.dkr.ecr.%s.%s", account, c.region, domain)
	return map[string]any{"authorizationData": []authorizationData{data}}, nil
}

// describeImagesInput is what DescribeImages is asked with.
type describeImagesInput struct {
	RegistryID     string                     `json:"registryId"`
	RepositoryName string                     `json:"repositoryName"`
	Filter         struct{ TagStatus string } `json:"filter"`
	MaxResults     *int                       `json:"maxResults"`
	NextToken      string                     `json:"nextToken"`
}

// imageDetail is an image, with all its tags.
type imageDetail struct {
	RegistryID       string   `json:"registryId"`
	RepositoryName   string   `json:"repositoryName"`
	ImageDigest      string   `json:"imageDigest"`
	ImageTags        []string `json:"imageTags"`
	ImagePushedAt    float64  `json:"imagePushedAt"`
	ImageSizeInBytes int64    `json:"imageSizeInBytes"`
	MediaType        string   `json:"imageManifestMediaType,omitempty"`
}

func (f *fake) describeImages(c call) (any, error) {
	var in describeImagesInput
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "SerializationException", message: err.Error()}
	}
	if in.RegistryID == "" {
		in.RegistryID = accountOf(c.caller.arn)
	}
	arn := fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", c.region, in.RegistryID, in.RepositoryName)
	if err := f.authorize(c, in.RegistryID, arn); err != nil {
		return nil, err
	}
	images, next, err := page(f, in.MaxResults, in.NextToken, in.RegistryID+"/"+in.RepositoryName, func() ([]imageDetail, error) {
		tags, err := f.tags(in.RegistryID, in.RepositoryName, in.RepositoryName)
		return byDigest(in, tags), err
	})
	if err != nil {
		return nil, err
	}
	return listing("imageDetails", images, next), nil
}

// tags asks the registry.
func (f *fake) tags(account, name, repository string) ([]cloud.Tag, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tags, err := f.options.Tags(ctx, repository)
	if errors.Is(err, cloud.ErrNoRepository) {
		return nil, &apiError{status: http.StatusBadRequest, code: "RepositoryNotFoundException",
			message: fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, account)}
	}
	return tags, err
}

// byDigest gathers the tags of each image. The time of an image is that of its
// oldest tag: ECR knows when an image was pushed, not when it was tagged. The
// order is that of the digests, which is as good as none, like ECR's own.
func byDigest(in describeImagesInput, tags []cloud.Tag) []imageDetail {
	if in.Filter.TagStatus == "UNTAGGED" {
		return nil
	}
	var images []imageDetail
	index := map[string]int{}
	for _, t := range tags {
		i, known := index[t.Digest]
		if !known {
			i = len(images)
			index[t.Digest] = i
			images = append(images, imageDetail{RegistryID: in.RegistryID, RepositoryName: in.RepositoryName, ImageDigest: t.Digest,
				ImagePushedAt: epoch(t.Pushed), ImageSizeInBytes: t.Size, MediaType: t.MediaType})
		}
		images[i].ImageTags = append(images[i].ImageTags, t.Name)
		images[i].ImagePushedAt = min(images[i].ImagePushedAt, epoch(t.Pushed))
	}
	return sortedBy(images, func(d imageDetail) string { return d.ImageDigest })
}

// listing is an answer with a page in it.
func listing(name string, page any, next string) map[string]any {
	answer := map[string]any{name: page}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer
}

func (f *fake) publicAuthorizationToken(c call) (any, error) {
	if err := f.authorize(c, accountOf(c.caller.arn), "*"); err != nil {
		return nil, err
	}
	return map[string]any{"authorizationData": f.issue()}, nil
}

func (f *fake) describeRegistries(c call) (any, error) {
	account := accountOf(c.caller.arn)
	if err := f.authorize(c, account, "*"); err != nil {
		return nil, err
	}
	aliases := []map[string]any{}
	if account == Account {
		aliases = append(aliases,
			map[string]any{"name": publicAlias, "status": "ACTIVE", "primaryRegistryAlias": true, "defaultRegistryAlias": false},
			map[string]any{"name": "not-yet", "status": "PENDING", "primaryRegistryAlias": false, "defaultRegistryAlias": false})
	}
	return map[string]any{"registries": []map[string]any{{
		"registryId":  account,
		"registryArn": "arn:aws:ecr-public::" + account + ":registry/" + account,
		"registryUri": "public.ecr.aws/" + publicAlias,
		"verified":    false,
		"aliases":     aliases,
	}}}, nil
}

// imageTagDetail is a tag of a public image.
type imageTagDetail struct {
	ImageTag    string            `json:"imageTag"`
	CreatedAt   float64           `json:"createdAt"`
	ImageDetail publicImageDetail `json:"imageDetail"`
}

type publicImageDetail struct {
	ImageDigest      string  `json:"imageDigest"`
	ImagePushedAt    float64 `json:"imagePushedAt"`
	ImageSizeInBytes int64   `json:"imageSizeInBytes"`
}

func (f *fake) describeImageTags(c call) (any, error) {
	var in describeImagesInput
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "SerializationException", message: err.Error()}
	}
	account := accountOf(c.caller.arn)
	if in.RegistryID != "" {
		account = in.RegistryID
	}
	if err := f.authorize(c, account, "arn:aws:ecr-public::"+account+":repository/"+in.RepositoryName); err != nil {
		return nil, err
	}
	repository := strings.Join([]string{publicAlias, in.RepositoryName}, "/")
	tags, next, err := page(f, in.MaxResults, in.NextToken, "public/"+repository, func() ([]imageTagDetail, error) {
		all, err := f.tags(account, in.RepositoryName, repository)
		var details []imageTagDetail
		for _, t := range all {
			details = append(details, imageTagDetail{t.Name, epoch(t.Pushed), publicImageDetail{t.Digest, epoch(t.Pushed), t.Size}})
		}
		return details, err
	})
	if err != nil {
		return nil, err
	}
	return listing("imageTagDetails", tags, next), nil
}
