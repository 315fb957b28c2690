package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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
	manager := transfermanager.New(client)
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
		f, err := os.Open(os.Getenv("F"))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: bucket, Key: key, Body: f})
		return err
	case "get":
		f, err := os.Create(os.Getenv("D"))
		if err != nil {
			return err
		}
		_, err = manager.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: bucket, Key: key, WriterAt: f})
		return errors.Join(err, f.Close())
	case "part":
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=100-199")})
		if err != nil {
			return err
		}
		body, err := io.ReadAll(out.Body)
		return errors.Join(err, out.Body.Close(), os.WriteFile(os.Getenv("D"), body, 0o600))
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
