package claimcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// bucket is a store in a bucket of a server that speaks S3.
type bucket struct {
	client *minio.Client
	http   *callout.Client
	name   string
	limit  time.Duration // of one call
}

func newBucket(s *Store, env policies.Env) (*bucket, apidef.Problems) {
	var problems apidef.Problems
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	if err := callout.CheckURL(s.Endpoint); err != nil {
		fail("/store/endpoint", err.Error()+"; e.g. https://s3.example.org")
	}
	if s.Bucket == "" {
		fail("/store/bucket", "is required")
	} else if err := s3utils.CheckValidBucketName(s.Bucket); err != nil {
		fail("/store/bucket", "is no name of a bucket: "+err.Error())
	}
	if (s.AccessKey == "") != (s.SecretKey == "") {
		fail("/store/secretKey", "stands with accessKey: give both or none")
	}
	client, more := s.Client("/store", env.Dial)
	problems = append(problems, more...)
	if problems.Err() != nil {
		return nil, problems
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		fail("/store/endpoint", "is no URL")
		return nil, problems
	}
	o := &minio.Options{Secure: u.Scheme == "https", Region: s.Region, Transport: client, BucketLookup: minio.BucketLookupDNS, MaxRetries: 1}
	if s.PathStyle {
		o.BucketLookup = minio.BucketLookupPath
	}
	if s.AccessKey != "" {
		o.Creds = credentials.NewStaticV4(s.AccessKey, s.SecretKey, s.SessionToken)
	}
	b := &bucket{http: client, name: s.Bucket, limit: time.Duration(s.HTTP.ConnectTimeout+s.HTTP.ReadTimeout) * time.Millisecond}
	if b.client, err = minio.New(u.Host, o); err != nil {
		fail("/store/endpoint", err.Error())
	}
	return b, problems
}

func (b *bucket) put(ctx context.Context, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	_, err := b.client.PutObject(ctx, b.name, name, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true})
	if err != nil {
		return fmt.Errorf("put into the bucket: %w", err)
	}
	return nil
}

func (b *bucket) get(ctx context.Context, name string, size int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	o, err := b.client.GetObject(ctx, b.name, name, minio.GetObjectOptions{})
	if err == nil {
		defer func() { _ = o.Close() }()
		var content []byte
		if content, err = readExactly(o, size); err == nil {
			return content, nil
		}
	}
	var said minio.ErrorResponse
	switch {
	case errors.Is(err, errSize):
		return nil, errSize
	case errors.As(err, &said) && said.StatusCode == http.StatusNotFound && said.Code != minio.NoSuchBucket:
		return nil, errMissing
	}
	return nil, fmt.Errorf("get from the bucket: %w", err)
}

// Close implements io.Closer.
func (b *bucket) Close() error { return b.http.Close() }
