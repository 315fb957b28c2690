package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// goAgent is the AWS SDK for Go as a client of the matrix: the test program runs
// as it when goAgentVariable names a step. What it is about is in the environment.
const goAgentVariable = "SALLYPORT_GO_AGENT"

func goAgent(step string) int {
	if err := goStep(context.Background(), step); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func goStep(ctx context.Context, step string) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(cfg)
	bucket, key := aws.String(os.Getenv("B")), aws.String(os.Getenv("K"))
	fetch := func(in *s3.GetObjectInput) error {
		out, err := client.GetObject(ctx, in)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(out.Body)
		return errors.Join(err, out.Body.Close(), os.WriteFile(os.Getenv("D"), body, 0o600))
	}
	switch step {
	case "put":
		f, err := os.Open(os.Getenv("F"))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: f})
		return err
	case "chunks", "trailer":
		return goChunks(ctx, cfg, step == "trailer")
	case "multi":
		return goParts(ctx, client, bucket, key)
	case "get":
		return fetch(&s3.GetObjectInput{Bucket: bucket, Key: key})
	case "part":
		return fetch(&s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=100-199")})
	case "head":
		out, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return err
		}
		fmt.Println(aws.ToInt64(out.ContentLength))
	case "list":
		out, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String(os.Getenv("P"))})
		if err != nil {
			return err
		}
		for _, o := range out.Contents {
			fmt.Println(aws.ToString(o.Key))
		}
	case "delete":
		_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
		return err
	default:
		return fmt.Errorf("no step %q", step)
	}
	return nil
}

// goParts uploads in parts of 5 MiB, as the SDK's upload manager does.
func goParts(ctx context.Context, client *s3.Client, bucket, key *string) error {
	body, err := os.ReadFile(os.Getenv("F"))
	if err != nil {
		return err
	}
	up, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		return err
	}
	var done []types.CompletedPart
	for n := int32(1); len(body) > 0; n++ {
		part := body[:min(len(body), 5<<20)]
		body = body[len(part):]
		out, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(n), Body: bytes.NewReader(part), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(n), ChecksumCRC32: out.ChecksumCRC32})
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	return err
}
