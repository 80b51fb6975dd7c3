"""The part of GitLab's GraphQL that the fake answers.

Written by hand from GitLab's GraphQL reference, and held against no schema of the vendor's: a document that is good here may
still be refused there.
"""

SDL = """
scalar BigInt
scalar Time

type Query {
  currentUser: CurrentUser
  metadata: Metadata
  group(fullPath: ID!): Group
  project(fullPath: ID!): Project
  projects(
    ids: [ID!], fullPaths: [String!], membership: Boolean, search: String,
    after: String, before: String, first: Int, last: Int
  ): ProjectConnection
}

type Metadata { version: String! revision: String! enterprise: Boolean! }

type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }

type CurrentUser { id: ID! username: String! name: String! bot: Boolean! }
type UserCore { id: ID! username: String! name: String! bot: Boolean! state: String! webUrl: String! }
type UserCoreConnection { nodes: [UserCore] pageInfo: PageInfo! count: Int! }

type Group {
  id: ID!
  name: String!
  fullPath: ID!
  fullName: String
  visibility: String
  webUrl: String!
  projects(
    includeSubgroups: Boolean = false, includeArchived: Boolean, search: String, sort: NamespaceProjectSort,
    after: String, before: String, first: Int, last: Int
  ): ProjectConnection!
  mergeRequests(
    includeSubgroups: Boolean = false, authorUsername: String, state: MergeRequestState, updatedAfter: Time,
    sourceBranches: [String!], targetBranches: [String!], iids: [String!], sort: MergeRequestSort = CREATED_DESC,
    after: String, before: String, first: Int, last: Int
  ): MergeRequestConnection
}

enum NamespaceProjectSort { ID_ASC ID_DESC PATH_ASC PATH_DESC ACTIVITY_DESC }

type ProjectConnection { nodes: [Project] pageInfo: PageInfo! count: Int! }

type Project {
  id: ID!
  name: String!
  path: String!
  fullPath: ID!
  nameWithNamespace: String!
  description: String
  visibility: String
  archived: Boolean
  isForked: Boolean
  webUrl: String
  createdAt: Time
  lastActivityAt: Time
  topics: [String!]
  languages: [RepositoryLanguage!]
  statistics: ProjectStatistics
  repository: Repository
  mergeRequestsEnabled: Boolean
  issuesEnabled: Boolean
  squashReadOnly: Boolean!
  mergeRequest(iid: String!): MergeRequest
  mergeRequests(
    iids: [String!], sourceBranches: [String!], targetBranches: [String!], state: MergeRequestState, authorUsername: String,
    updatedAfter: Time, sort: MergeRequestSort = CREATED_DESC, after: String, before: String, first: Int, last: Int
  ): MergeRequestConnection
}

type RepositoryLanguage { name: String! share: Float color: String }

type ProjectStatistics {
  repositorySize: Float!
  storageSize: Float!
  lfsObjectsSize: Float!
  commitCount: Float!
}

type Repository {
  rootRef: String
  empty: Boolean!
  exists: Boolean!
  commit(ref: String!): Commit
  blobs(
    paths: [String!]!, ref: String, refType: RefType, after: String, before: String, first: Int, last: Int
  ): RepositoryBlobConnection
}

enum RefType { HEADS TAGS }

type RepositoryBlobConnection { nodes: [RepositoryBlob] pageInfo: PageInfo! }
type RepositoryBlob {
  id: ID!
  oid: String!
  name: String
  path: String!
  mode: String
  size: BigInt
  rawSize: BigInt
  rawBlob: String
  rawTextBlob: String
}

type Commit {
  id: ID!
  sha: String!
  shortId: String!
  title: String
  message: String
  authorName: String
  authorEmail: String
  authoredDate: Time
  committedDate: Time
  webUrl: String!
}
type CommitConnection { nodes: [Commit] pageInfo: PageInfo! }

enum MergeRequestState { merged opened closed locked all }
enum MergeRequestSort { CREATED_ASC CREATED_DESC UPDATED_ASC UPDATED_DESC }
enum MergeStatus { UNCHECKED CHECKING CAN_BE_MERGED CANNOT_BE_MERGED CANNOT_BE_MERGED_RECHECK }
enum DetailedMergeStatus {
  UNCHECKED CHECKING PREPARING MERGEABLE BROKEN_STATUS CI_MUST_PASS CI_STILL_RUNNING COMMITS_STATUS CONFLICT
  DISCUSSIONS_NOT_RESOLVED DRAFT_STATUS NEED_REBASE NOT_APPROVED NOT_OPEN REQUESTED_CHANGES
}
enum PipelineStatusEnum {
  CREATED WAITING_FOR_RESOURCE PREPARING PENDING RUNNING FAILED SUCCESS CANCELED CANCELING SKIPPED MANUAL SCHEDULED
}
enum MergeRequestReviewState { UNREVIEWED REVIEWED REQUESTED_CHANGES APPROVED UNAPPROVED REVIEW_STARTED }

type MergeRequestConnection { nodes: [MergeRequest] pageInfo: PageInfo! count: Int! }

type MergeRequest {
  id: ID!
  iid: String!
  state: MergeRequestState!
  draft: Boolean!
  title: String!
  description: String
  webUrl: String
  createdAt: Time!
  updatedAt: Time!
  mergedAt: Time
  closedAt: Time
  project: Project!
  projectId: Int!
  sourceProject: Project
  sourceProjectId: Int
  targetProject: Project!
  targetProjectId: Int!
  sourceBranch: String!
  targetBranch: String!
  diffHeadSha: String
  diffRefs: DiffRefs
  mergeCommitSha: String
  conflicts: Boolean!
  mergeStatusEnum: MergeStatus
  detailedMergeStatus: DetailedMergeStatus
  mergeableDiscussionsState: Boolean
  autoMergeEnabled: Boolean!
  squash: Boolean!
  author: UserCore
  mergeUser: UserCore
  headPipeline: Pipeline
  approved: Boolean!
  approvalsRequired: Int
  approvalsLeft: Int
  approvedBy(after: String, before: String, first: Int, last: Int): UserCoreConnection
  assignees(after: String, before: String, first: Int, last: Int): UserCoreConnection
  reviewers(after: String, before: String, first: Int, last: Int): MergeRequestReviewerConnection
  labels(after: String, before: String, first: Int, last: Int): LabelConnection
  commits(after: String, before: String, first: Int, last: Int): CommitConnection
  commitsWithoutMergeCommits(after: String, before: String, first: Int, last: Int): CommitConnection
  notes(after: String, before: String, first: Int, last: Int): NoteConnection!
}

type DiffRefs { baseSha: String headSha: String! startSha: String! }
type Pipeline {
  id: ID! iid: String! sha: String ref: String status: PipelineStatusEnum! createdAt: Time!
  jobs(retried: Boolean, after: String, before: String, first: Int, last: Int): CiJobConnection
}
type CiJob { id: ID! name: String status: String retried: Boolean allowFailure: Boolean! }
type CiJobConnection { nodes: [CiJob] pageInfo: PageInfo! count: Int! }
type Label { id: ID! title: String! color: String! description: String }
type LabelConnection { nodes: [Label] pageInfo: PageInfo! count: Int! }
type MergeRequestReviewer {
  id: ID! username: String! name: String! mergeRequestInteraction: UserMergeRequestInteraction
}
type MergeRequestReviewerConnection { nodes: [MergeRequestReviewer] pageInfo: PageInfo! count: Int! }
type UserMergeRequestInteraction { reviewState: MergeRequestReviewState approved: Boolean! reviewed: Boolean! }
type Note {
  id: ID! author: UserCore body: String! createdAt: Time! updatedAt: Time! system: Boolean! internal: Boolean
  resolvable: Boolean! resolved: Boolean!
}
type NoteConnection { nodes: [Note] pageInfo: PageInfo! }
"""
