package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crictl has the few read-only sub-commands that kind's "load" and a person
// looking at a broken node need. Debian 12 has no package of the real one, sigs.k8s.io/cri-tools.
func crictl(args []string) error {
	conn, err := grpc.NewClient("unix:///run/containerd/containerd.sock",
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	images, runtime := cri.NewImageServiceClient(conn), cri.NewRuntimeServiceClient(conn)
	if len(args) == 0 {
		return fmt.Errorf("usage: crictl images | inspecti IMAGE | ps | pods | info")
	}
	switch args[0] {
	case "inspecti":
		if len(args) != 2 {
			return fmt.Errorf("usage: crictl inspecti IMAGE")
		}
		r, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: args[1]}})
		if err != nil {
			return err
		}
		if r.Image == nil {
			return fmt.Errorf("no such image: %s", args[1])
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": map[string]any{
			"id": r.Image.Id, "repoTags": r.Image.RepoTags, "repoDigests": r.Image.RepoDigests, "size": r.Image.Size}})
	case "images":
		r, err := images.ListImages(ctx, &cri.ListImagesRequest{})
		if err != nil {
			return err
		}
		for _, i := range r.Images {
			fmt.Println(i.Id, i.Size, i.RepoTags)
		}
	case "ps":
		r, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
		if err != nil {
			return err
		}
		for _, c := range r.Containers {
			fmt.Println(c.Id[:13], c.State, c.Metadata.Attempt, c.Labels["io.kubernetes.pod.namespace"]+"/"+c.Labels["io.kubernetes.pod.name"], c.Metadata.Name)
		}
	case "pods":
		r, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
		if err != nil {
			return err
		}
		for _, p := range r.Items {
			fmt.Println(p.Id[:13], p.State, p.Metadata.Namespace+"/"+p.Metadata.Name)
		}
	case "info":
		r, err := runtime.Version(ctx, &cri.VersionRequest{})
		if err != nil {
			return err
		}
		fmt.Println(r.RuntimeName, r.RuntimeVersion, "CRI", r.RuntimeApiVersion)
	default:
		return fmt.Errorf("unknown sub-command: %s", args[0])
	}
	return nil
}
